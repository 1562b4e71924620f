//! A vector in segments. Its clones share each segment until one of them changes it.

use std::ops::Index;
use std::sync::Arc;

/// The elements of a segment.
const PIECE: usize = 1024;

/// See the module's description. It grows without being copied, so it is never in memory twice.
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
    /// Returns the number of elements.
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

    /// Returns an element. None beyond the end.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.pieces.get(at / PIECE)?.get(at % PIECE)
    }

    /// Returns an element, to be changed in this clone alone.
    ///
    /// # Panics
    ///
    /// Panics beyond the end.
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.pieces[at / PIECE])[at % PIECE]
    }

    /// Returns all elements, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    /// Frees the memory that was reserved for more elements.
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
