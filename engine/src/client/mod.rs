//! The client's side: source → frames.
