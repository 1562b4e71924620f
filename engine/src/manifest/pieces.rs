//! A vector in pieces, which its copies share until one of them changes something there.

use std::ops::Index;
use std::sync::Arc;

/// Elements in a piece.
const PIECE: usize = 1024;

/// See the module's description. It grows without being copied, so that there is never twice of it.
#[derive(Debug, Clone)]
pub(crate) struct Pieces<T> {
    /// All but the last are full.
    pieces: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Pieces<T> {
    fn default() -> Pieces<T> {
        Pieces { pieces: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Pieces<T> {
    /// Counts the elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends an element.
    pub(crate) fn push(&mut self, element: T) {
        match self.pieces.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => Arc::make_mut(piece).push(element),
            None => self.pieces.push(Arc::new(vec![element])),
        }
        self.len += 1;
    }

    /// Returns an element, if there are so many.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.pieces.get(at / PIECE)?.get(at % PIECE)
    }

    /// Returns an element to be changed in this copy alone.
    ///
    /// # Panics
    ///
    /// Panics if there are not so many.
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.pieces[at / PIECE])[at % PIECE]
    }

    /// Returns all elements, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    /// Gives back memory that waited for more elements.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.pieces.shrink_to_fit();
        if let Some(piece) = self.pieces.last_mut() {
            Arc::make_mut(piece).shrink_to_fit();
        }
    }
}

impl<T> Index<usize> for Pieces<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.pieces[at / PIECE][at % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_in_a_copy_changes_nowhere_else() {
        let mut original = Pieces::default();
        let count = 2 * PIECE + 1;
        (0..count).for_each(|at| original.push(at));
        original.shrink_to_fit();
        let mut copy = original.clone();
        *copy.get_mut(PIECE) = 7;
        copy.push(count);
        assert!(original.iter().copied().eq(0..count));
        assert_eq!((original.len(), original.get(count), copy.len(), copy[count]), (count, None, count + 1, count));
        assert!(copy.iter().enumerate().all(|(at, &element)| element == if at == PIECE { 7 } else { at }));
        assert!(Arc::ptr_eq(&original.pieces[0], &copy.pieces[0]));
    }
}
