//! Declares the keys of a kind of table.

/// Returns the name of a key: that of its field, or the one beside it where that is a word of Rust.
macro_rules! key_name {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident $key:literal) => {
        $key
    };
}

/// Declares the keys of a kind of table, each with its type, the function that reads it and the shape of its
/// value. Where `Keys or Keys` is
/// written, a table can be the defaults of another one.
macro_rules! keys {
    ($table:ident or $defaults:ident => $($name:ident $(($key:literal))?: $type:ty = $read:expr => $shape:expr,)*) => {
        $crate::key_list::keys! { $table => $($name $(($key))?: $type = $read => $shape,)* }

        impl $table {
            /// Fills missing keys from the defaults. A list replaces a list.
            fn or(self, defaults: &$defaults) -> $table {
                let defaults = defaults.clone();
                $table { $($name: self.$name.or(defaults.$name),)* }
            }

            /// Returns whether a key is set.
            pub(crate) fn has(&self, key: &str) -> bool {
                match key {
                    $(stringify!($name) => self.$name.is_some(),)*
                    _ => false,
                }
            }
        }
    };
    ($table:ident => $($name:ident $(($key:literal))?: $type:ty = $read:expr => $shape:expr,)*) => {
        /// The keys of one table. A missing key is `None`.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(crate) struct $table {
            $(pub(crate) $name: Option<$crate::mistake::Located<$type>>,)*
        }

        impl $table {
            /// The names of the keys.
            pub(crate) const NAMES: &[&str] = &[$($crate::key_list::key_name!($name $($key)?)),*];

            /// The keys with the shapes of their values.
            pub(crate) const SHAPES: &[(&'static str, $crate::shape::Shape)] =
                &[$(($crate::key_list::key_name!($name $($key)?), $shape)),*];

            /// Sets a key from an entry of the table.
            pub(crate) fn set(&mut self, entry: &$crate::entry::Entry<'_>) -> Result<(), $crate::mistake::Mistake> {
                match entry.name {
                    $($crate::key_list::key_name!($name $($key)?) => entry.put(&mut self.$name, $read),)*
                    _ => Err(entry.unknown(Self::NAMES)),
                }
            }
        }
    };
}

pub(crate) use {key_name, keys};
