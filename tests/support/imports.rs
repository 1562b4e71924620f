//! The imports between the files of a program, found like the compiler finds them.
//!
//! Each file is parsed, and each path in it is followed to the file that defines the name: through `crate`, `self`
//! and `super`, through renames and globs, and through `pub use`. A `mod` or a `pub use` alone imports nothing. Code
//! under `#[cfg(test)]` is left out.
//!
//! Macros have no syntax to follow, only words: each path among these is followed like any other. Methods and fields
//! name no file, so they import nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The names that a file imports from another one.
pub(crate) type Imports = BTreeMap<(String, String), BTreeSet<String>>;

/// A parsed program.
#[derive(Default)]
pub(crate) struct Program {
    modules: Vec<Module>,
    mentions: Vec<Mention>,
}

/// A module, in a file of its own or inside of one.
struct Module {
    file: String,
    parent: Option<usize>,
    names: BTreeMap<String, Vec<Meaning>>,
    globs: Vec<Vec<String>>,
}

/// The meaning of a name in a module.
#[derive(Clone)]
enum Meaning {
    Type,
    /// A function, a constant or a macro, which contains no further names.
    Value,
    Module(usize),
    Use(Vec<String>),
}

/// A path in a module.
struct Mention {
    module: usize,
    path: Vec<String>,
}

/// The end of a path.
enum Place {
    Item(usize, String),
    Module(usize),
}

/// The most names that lead to one another.
const USES_MAX: u32 = 16;

impl Program {
    /// Parses the program whose first file is `first`. Files are named by their paths below `root`.
    pub(crate) fn read(root: &Path, first: &str) -> Program {
        let mut program = Program::default();
        program.read_file(root, first, None);
        program
    }

    fn read_file(&mut self, root: &Path, file: &str, parent: Option<usize>) -> usize {
        let path = root.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let module = self.add_module(file, parent);
        let mut directory = path.parent().unwrap().to_owned();
        let name = path.file_stem().unwrap();
        if parent.is_some() && name != "mod" {
            directory.push(name);
        }
        Reader { program: self, root, directory, module }.visit_file(&parsed);
        module
    }

    fn add_module(&mut self, file: &str, parent: Option<usize>) -> usize {
        self.modules.push(Module { file: file.to_owned(), parent, names: BTreeMap::new(), globs: Vec::new() });
        self.modules.len() - 1
    }

    /// Returns the names that each file imports from each other one.
    pub(crate) fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for Mention { module, path } in &self.mentions {
            let places = self.follow(*module, path, USES_MAX);
            // If a module and a function have one name, the module is mostly meant.
            if places.iter().any(|place| matches!(place, Place::Module(_))) {
                continue;
            }
            for place in places {
                let Place::Item(of, name) = place else { continue };
                let (from, to) = (&self.modules[*module].file, &self.modules[of].file);
                if from != to {
                    imports.entry((from.clone(), to.clone())).or_default().insert(name);
                }
            }
        }
        imports
    }

    /// Follows a path from a module. It may lead to an item and a module of one name.
    fn follow(&self, module: usize, path: &[String], uses_left: u32) -> Vec<Place> {
        let [first, rest @ ..] = path else { return vec![Place::Module(module)] };
        let parent = || self.modules[module].parent.expect("`super` stands below the root");
        match first.as_str() {
            "crate" => self.follow_in(0, rest, uses_left),
            "self" => self.follow_in(module, rest, uses_left),
            // Each further `super` leads further up.
            "super" => self.follow(parent(), rest, uses_left),
            _ => self.follow_in(module, path, uses_left),
        }
    }

    /// Follows a path whose first name belongs to a module.
    fn follow_in(&self, module: usize, path: &[String], uses_left: u32) -> Vec<Place> {
        let [name, rest @ ..] = path else { return vec![Place::Module(module)] };
        if name == "self" {
            return self.follow_in(module, rest, uses_left);
        }
        let follow = |meaning: &Meaning| match meaning {
            Meaning::Value if !rest.is_empty() => Vec::new(),
            Meaning::Type | Meaning::Value => vec![Place::Item(module, name.clone())],
            Meaning::Module(child) => self.follow_in(*child, rest, uses_left),
            Meaning::Use(_) if uses_left == 0 => Vec::new(),
            Meaning::Use(path) => self.follow(module, &[path, rest].concat(), uses_left - 1),
        };
        let meanings = self.modules[module].names.get(name);
        let places: Vec<Place> = meanings.into_iter().flatten().flat_map(follow).collect();
        if !places.is_empty() || uses_left == 0 {
            return places;
        }
        self.modules[module].globs.iter().flat_map(|glob| self.follow_through(module, glob, path, uses_left)).collect()
    }

    /// Follows a path whose first name a glob may import.
    fn follow_through(&self, module: usize, glob: &[String], path: &[String], uses_left: u32) -> Vec<Place> {
        let places = self.follow(module, glob, uses_left - 1);
        let modules = places.into_iter().filter_map(|place| match place {
            Place::Module(found) => Some(found),
            Place::Item(..) => None,
        });
        modules.flat_map(|found| self.follow_in(found, path, uses_left - 1)).collect()
    }
}

/// Reads the syntax of one file.
struct Reader<'a> {
    program: &'a mut Program,
    root: &'a Path,
    /// The directory of the module's children.
    directory: PathBuf,
    module: usize,
}

impl Reader<'_> {
    fn name(&mut self, name: &syn::Ident, meaning: Meaning) {
        self.program.modules[self.module].names.entry(name.to_string()).or_default().push(meaning);
    }

    fn mention(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.program.mentions.push(Mention { module: self.module, path });
        }
    }

    fn read_module(&mut self, item: &syn::ItemMod) {
        let name = item.ident.to_string();
        let child = match &item.content {
            Some((_, items)) => {
                let file = self.program.modules[self.module].file.clone();
                let child = self.program.add_module(&file, Some(self.module));
                let directory = self.directory.join(&name);
                let mut reader = Reader { program: &mut *self.program, root: self.root, directory, module: child };
                items.iter().for_each(|item| reader.visit_item(item));
                child
            }
            None => {
                let places = [format!("{name}.rs"), format!("{name}/mod.rs")].map(|file| self.directory.join(file));
                let place = places.iter().find(|place| place.exists()).unwrap_or_else(|| panic!("no file for {name}"));
                let file = place.strip_prefix(self.root).unwrap().to_str().unwrap();
                self.program.read_file(self.root, file, Some(self.module))
            }
        };
        self.name(&item.ident, Meaning::Module(child));
    }

    /// Reads a `use`. A `pub use` mentions nothing by itself.
    fn read_use(&mut self, tree: &UseTree, mut path: Vec<String>, is_private: bool) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                return self.read_use(&tree.tree, path, is_private);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.read_use(tree, path.clone(), is_private));
            }
            UseTree::Glob(_) => self.program.modules[self.module].globs.push(path.clone()),
            UseTree::Name(name) => {
                let last = if name.ident == "self" { path.last().unwrap().clone() } else { name.ident.to_string() };
                path.extend((name.ident != "self").then(|| last.clone()));
                // A name that leads to itself belongs to a crate.
                if path != [last.clone()] {
                    self.name(&syn::Ident::new(&last, name.ident.span()), Meaning::Use(path.clone()));
                }
            }
            UseTree::Rename(rename) => {
                path.extend((rename.ident != "self").then(|| rename.ident.to_string()));
                self.name(&rename.rename, Meaning::Use(path.clone()));
            }
        }
        if is_private {
            self.mention(path);
        }
    }

    /// Finds the paths among the words of a macro.
    fn read_words(&mut self, words: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut is_member) = (0, false);
        for word in words {
            match word {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.mention(std::mem::take(&mut path));
                    }
                    if !is_member {
                        path.push(ident.to_string());
                    }
                    (colons, is_member) = (0, false);
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => {
                    colons += 1;
                    continue;
                }
                TokenTree::Punct(punct) => is_member = punct.as_char() == '.',
                TokenTree::Group(group) => self.read_words(group.stream()),
                TokenTree::Literal(_) => {}
            }
            self.mention(std::mem::take(&mut path));
            colons = 0;
        }
        self.mention(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(item) => return self.read_module(item),
            Item::Use(item) if item.leading_colon.is_none() => {
                let is_private = matches!(item.vis, syn::Visibility::Inherited);
                return self.read_use(&item.tree, Vec::new(), is_private);
            }
            Item::Use(_) => return,
            _ => {}
        }
        if let Some((name, meaning)) = defined(item) {
            self.name(name, meaning);
        }
        visit::visit_item(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.mention(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.read_words(item.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_for_tests(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_for_tests(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        let attributes = match expression {
            syn::Expr::Block(expression) => &expression.attrs,
            syn::Expr::Call(expression) => &expression.attrs,
            syn::Expr::If(expression) => &expression.attrs,
            syn::Expr::MethodCall(expression) => &expression.attrs,
            syn::Expr::Try(expression) => &expression.attrs,
            _ => return visit::visit_expr(self, expression),
        };
        if !is_for_tests(attributes) {
            visit::visit_expr(self, expression);
        }
    }
}

/// Returns whether an item exists only in tests.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.meta.require_list().ok().filter(|list| list.path.is_ident("cfg"));
        condition.is_some_and(|list| list.tokens.to_string() == "test")
    })
}

/// Returns the attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns the name that an item defines.
fn defined(item: &Item) -> Option<(&syn::Ident, Meaning)> {
    match item {
        Item::Const(item) => Some((&item.ident, Meaning::Value)),
        Item::Enum(item) => Some((&item.ident, Meaning::Type)),
        Item::Fn(item) => Some((&item.sig.ident, Meaning::Value)),
        Item::Macro(item) => item.ident.as_ref().map(|name| (name, Meaning::Value)),
        Item::Static(item) => Some((&item.ident, Meaning::Value)),
        Item::Struct(item) => Some((&item.ident, Meaning::Type)),
        Item::Trait(item) => Some((&item.ident, Meaning::Type)),
        Item::Type(item) => Some((&item.ident, Meaning::Type)),
        _ => None,
    }
}
