//! A server, as messages name it.

/// A server in messages: the name that the user wrote, and the address behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The host as the user wrote it.
    pub name: String,
    /// The name or address to connect to.
    pub host_name: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Server { name, host_name, port } = self;
        match (name == host_name, port) {
            (true, 22) => write!(f, "`{name}`"),
            (true, port) => write!(f, "`{name}` port {port}"),
            (false, port) => write!(f, "`{name}` (`{host_name}` port {port})"),
        }
    }
}
