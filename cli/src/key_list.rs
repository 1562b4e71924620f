//! Declares the keys of a kind of table.

/// Declares the keys of a kind of table, each with its type and the function that reads it. Where `Keys or Keys` is
/// written, a table can be the defaults of another one.
macro_rules! keys {
    ($table:ident or $defaults:ident => $($name:ident: $type:ty = $read:expr,)*) => {
        $crate::key_list::keys! { $table => $($name: $type = $read,)* }

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
    ($table:ident => $($name:ident: $type:ty = $read:expr,)*) => {
        /// The keys of one table. A missing key is `None`.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(crate) struct $table {
            $(pub(crate) $name: Option<$crate::mistake::Located<$type>>,)*
        }

        impl $table {
            /// The names of the keys.
            pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Sets a key from an entry of the table.
            pub(crate) fn set(&mut self, entry: &$crate::entry::Entry<'_>) -> Result<(), $crate::mistake::Mistake> {
                match entry.name {
                    $(stringify!($name) => entry.put(&mut self.$name, $read),)*
                    _ => Err(entry.unknown(Self::NAMES)),
                }
            }
        }
    };
}

pub(crate) use keys;
