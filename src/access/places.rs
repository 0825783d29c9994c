//! A bounded number of places, and of those only so many for each key, so that
//! one server, person or address cannot take them all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places to take. Clones share them.
#[derive(Debug)]
pub struct Places<K> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    most: usize,
    most_each: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by_key: HashMap<K, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    key: K,
    shared: Arc<Shared<K>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// This key has all that it may have.
    Each,
    /// All are taken.
    All,
}

impl<K: Clone + Eq + Hash> Places<K> {
    /// So many places, and at most so many for one key.
    pub fn new(most: usize, most_each: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                most,
                most_each,
                taken: Mutex::new(Taken {
                    all: 0,
                    by_key: HashMap::new(),
                }),
            }),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Full`] if there is none.
    pub fn take(&self, key: K) -> Result<Place<K>, Full> {
        let mut taken = self.shared.lock();
        if taken.by_key.get(&key).copied().unwrap_or(0) >= self.shared.most_each {
            return Err(Full::Each);
        }
        if taken.all >= self.shared.most {
            return Err(Full::All);
        }
        taken.all += 1;
        *taken.by_key.entry(key.clone()).or_default() += 1;
        Ok(Place {
            key,
            shared: Arc::clone(&self.shared),
        })
    }
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K> Shared<K> {
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.shared.lock();
        taken.all = taken.all.saturating_sub(1);
        let Some(count) = taken.by_key.get_mut(&self.key) else {
            return;
        };
        *count -= 1;
        // A key without places costs no memory.
        if *count == 0 {
            taken.by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_cannot_take_all_places() {
        let places = Places::new(3, 2);
        let one = places.take("a").unwrap();
        let _two = places.take("a").unwrap();
        assert_eq!(places.take("a").unwrap_err(), Full::Each);
        let _three = places.take("b").unwrap();
        assert_eq!(places.take("b").unwrap_err(), Full::All);
        drop(one);
        assert!(places.take("a").is_ok());
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let places = Places::new(10, 1);
        for number in 0..5 {
            drop(places.take(number).unwrap());
        }
        assert!(places.shared.lock().by_key.is_empty());
        assert_eq!(places.shared.lock().all, 0);
    }
}
