//! A vector in segments. Its clones share each segment until one of them changes it.

use std::ops::Index;
use std::sync::Arc;

/// The elements of a segment.
const SEGMENT_LEN: usize = 1024;

/// See the module's description. It grows without being copied, so it is never in memory twice.
#[derive(Debug, Clone)]
pub(crate) struct SharedVec<T> {
    /// All but the last are full.
    segments: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for SharedVec<T> {
    fn default() -> SharedVec<T> {
        SharedVec { segments: Vec::new(), len: 0 }
    }
}

impl<T: Clone> SharedVec<T> {
    /// Returns the number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends an element.
    pub(crate) fn push(&mut self, element: T) {
        match self.segments.last_mut().filter(|segment| segment.len() < SEGMENT_LEN) {
            Some(segment) => Arc::make_mut(segment).push(element),
            None => self.segments.push(Arc::new(vec![element])),
        }
        self.len += 1;
    }

    /// Returns an element. None beyond the end.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.segments.get(at / SEGMENT_LEN)?.get(at % SEGMENT_LEN)
    }

    /// Returns an element, to be changed in this clone alone.
    ///
    /// # Panics
    ///
    /// Panics beyond the end.
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.segments[at / SEGMENT_LEN])[at % SEGMENT_LEN]
    }

    /// Returns all elements, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flat_map(|segment| segment.iter())
    }

    /// Frees the memory that was reserved for more elements.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.segments.shrink_to_fit();
        if let Some(segment) = self.segments.last_mut() {
            Arc::make_mut(segment).shrink_to_fit();
        }
    }
}

impl<T> Index<usize> for SharedVec<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.segments[at / SEGMENT_LEN][at % SEGMENT_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_in_a_copy_changes_nowhere_else() {
        let mut original = SharedVec::default();
        let count = 2 * SEGMENT_LEN + 1;
        (0..count).for_each(|at| original.push(at));
        original.shrink_to_fit();
        let mut copy = original.clone();
        *copy.get_mut(SEGMENT_LEN) = 7;
        copy.push(count);
        assert!(original.iter().copied().eq(0..count));
        assert_eq!((original.len(), original.get(count), copy.len(), copy[count]), (count, None, count + 1, count));
        assert!(copy.iter().enumerate().all(|(at, &element)| element == if at == SEGMENT_LEN { 7 } else { at }));
        assert!(Arc::ptr_eq(&original.segments[0], &copy.segments[0]));
    }
}
