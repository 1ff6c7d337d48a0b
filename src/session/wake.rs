//! Which relays have something to do: each socket's waker adds its stream to one list, and wakes the driver.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use proto::StreamId;

/// Streams whose sockets became ready, and who is to be told.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    streams: Vec<StreamId>,
    driver: Option<Waker>,
}

impl WakeList {
    /// The driver is about to sleep: wakes go to it.
    pub(crate) fn register(&self, driver: &Waker) {
        let mut inner = self.lock();
        match &mut inner.driver {
            Some(known) => known.clone_from(driver),
            unknown => *unknown = Some(driver.clone()),
        }
    }

    /// Swaps the list with the caller's empty one, so that neither is allocated again.
    pub(crate) fn swap(&self, other: &mut Vec<StreamId>) {
        std::mem::swap(&mut self.lock().streams, other);
    }

    /// A waker for one stream's socket.
    pub(crate) fn waker(self: &Arc<Self>, stream: StreamId) -> Waker {
        Waker::from(Arc::new(StreamWaker { list: self.clone(), stream }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct StreamWaker {
    list: Arc<WakeList>,
    stream: StreamId,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut inner = self.list.lock();
        inner.streams.push(self.stream);
        if let Some(driver) = &inner.driver {
            driver.wake_by_ref();
        }
    }
}
