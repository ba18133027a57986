//! How models are used: counted by atomic adds, and kept in a store that a thread of its own writes.
//!
//! A request touches [`Counter`]s only. The thread takes what they grew by, as a batch, and adds it to the store; while a
//! store is away, the batch and the counters wait. What [`Usage::view`] shows is what the store held last, plus what is not
//! in it yet.

#[cfg(test)]
mod beside;
#[cfg(test)]
mod certificates;
mod configmap;
mod figures;
mod file;
#[cfg(test)]
mod killed;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(test)]
mod replicas;
mod store;
mod writer;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

pub(crate) use figures::{Counter, Event, Figures, Totals};
pub(crate) use store::Place;
use store::{Batch, Store};
use writer::{Order, Writer};

/// Counts what models are used for. Dropping it writes what is not written yet.
pub(crate) struct Usage {
    counters: Arc<Counters>,
    state: Arc<Mutex<State>>,
    place: Place,
    shared: bool,
    /// When a view last asked the store.
    asked: Mutex<Option<Instant>>,
    writer: Mutex<Option<(SyncSender<Order>, JoinHandle<()>)>>,
}

/// The counters by model. Names are few: only models that exist are counted.
type Counters = RwLock<HashMap<String, Arc<Counter>>>;

/// What is known of the store, and what of the counters went there.
#[derive(Default)]
struct State {
    /// What the store held when it was last written or read.
    held: Totals,
    /// What is on its way there.
    batch: Option<Batch>,
    /// What was imported and is not in a batch yet.
    imported: Totals,
    /// What of each counter went into batches.
    taken: HashMap<String, Figures>,
    written: Option<SystemTime>,
    failing: Option<String>,
}

/// What `/usage` shows, and what import takes.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    /// Where figures are kept.
    store: String,
    /// Whether other servers' figures are in it too.
    shared: bool,
    /// When the store last answered.
    #[serde(serialize_with = "text")]
    written: Option<SystemTime>,
    /// Why it does not answer now.
    failing: Option<String>,
    /// By the model's name.
    pub(crate) models: Totals,
}

/// How many models may have figures.
const MODELS: usize = 100_000;

impl Usage {
    /// Opens a store and starts the thread that writes it.
    ///
    /// # Errors
    /// Why a file cannot be used. A server that is away is no error: its turn comes when it is back.
    pub(crate) fn open(place: Place) -> Result<Self, String> {
        let store: Option<Box<dyn Store>> = match &place {
            Place::Memory => None,
            Place::File(path) => Some(Box::new(file::File::open(path)?)),
            #[cfg(feature = "postgres")]
            Place::Postgres(url) => Some(Box::new(postgres::Postgres::new(url)?)),
            #[cfg(not(feature = "postgres"))]
            Place::Postgres(_) => return Err("built without the feature `postgres`".to_owned()),
            Place::ConfigMap { namespace, name } => {
                let server = configmap::ApiServer::of_this_pod()?;
                Some(Box::new(configmap::ConfigMap::new(server, namespace, name)))
            }
        };
        Self::with(place, store)
    }

    fn with(place: Place, store: Option<Box<dyn Store>>) -> Result<Self, String> {
        let counters = Arc::<Counters>::default();
        let state = Arc::<Mutex<State>>::default();
        let shared = store.as_ref().is_some_and(|s| s.is_shared());
        let start = |mut store: Box<dyn Store>| {
            if !store.is_shared() {
                lock(&state).held = store.read()?;
            }
            let (orders, received) = sync_channel(8);
            let writer = Writer::new(store, counters.clone(), state.clone());
            let thread = std::thread::Builder::new().name("usage".to_owned());
            let thread = thread.spawn(move || writer.run(&received));
            let thread = thread.map_err(|e| format!("cannot start a thread: {e}"))?;
            Ok::<_, String>((orders, thread))
        };
        let writer = store.map(start).transpose()?;
        Ok(Self {
            counters,
            state,
            place,
            shared,
            asked: Mutex::default(),
            writer: Mutex::new(writer),
        })
    }

    /// The counter of a model. Whoever has it may keep it.
    pub(crate) fn model(&self, name: &str) -> Arc<Counter> {
        let read = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = read.get(name) {
            return counter.clone();
        }
        drop(read);
        let mut write = self
            .counters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if write.len() >= MODELS || !figures::is_name(name) {
            // Counted for nobody: what cannot be shown must not grow without end either.
            return Arc::default();
        }
        write.entry(name.to_owned()).or_default().clone()
    }

    /// What is kept, and what is on its way there.
    pub(crate) fn view(&self) -> View {
        let state = lock(&self.state);
        let mut models = state.held.clone();
        figures::add_all(&mut models, &state.imported);
        figures::add_all(&mut models, state.batch.iter().flat_map(|b| &b.growth));
        figures::add_all(&mut models, &grown(&self.counters, &state.taken));
        View {
            store: self.place.to_string(),
            shared: self.shared,
            written: state.written,
            failing: state.failing.clone(),
            models,
        }
    }

    /// The same, with what others wrote to the store until a second ago. Waits at most `patience` for it. Blocks.
    pub(crate) fn recent_view(&self, patience: Duration) -> View {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // However many ask, the store is asked once a second.
        if asked.is_none_or(|asked| asked.elapsed() >= RECENT) {
            *asked = Some(Instant::now());
            drop(asked);
            return self.fresh_view(patience);
        }
        drop(asked);
        self.view()
    }

    /// The same, after the store was asked what others wrote there. Waits at most `patience` for it. Blocks.
    pub(crate) fn fresh_view(&self, patience: Duration) -> View {
        if self.shared {
            // Where the store is away, the view tells so.
            let _ = self.order(Order::Sync, patience);
        }
        self.view()
    }

    /// Forgets all figures, those of other servers in a shared store too. Blocks.
    ///
    /// # Errors
    /// Why the store could not forget; then nothing was forgotten.
    pub(crate) fn reset(&self) -> Result<(), String> {
        if let Some(done) = self.order(Order::Reset, PATIENCE) {
            return done;
        }
        lock(&self.state).forget(&self.counters);
        Ok(())
    }

    /// Adds figures that another server exported: the text of its `/usage`, or the `models` of it. Blocks.
    ///
    /// # Errors
    /// What is wrong with the text; then nothing was added. A store that is away is no error: the figures wait with the others.
    pub(crate) fn import(&self, text: &[u8]) -> Result<usize, String> {
        #[derive(serde::Deserialize)]
        struct Exported {
            models: Totals,
        }
        let exported: Exported =
            serde_json::from_slice(text).map_err(|e| format!("not what /usage shows: {e}"))?;
        let models = exported.models;
        if models.len() > MODELS {
            return Err(format!("more than {MODELS} models"));
        }
        models.iter().try_for_each(figures::storable)?;
        // Where nothing is kept, they wait for ever, and are shown.
        figures::add_all(&mut lock(&self.state).imported, &models);
        let _ = self.order(Order::Sync, PATIENCE);
        Ok(models.len())
    }

    /// Writes what is not written yet, and ends the thread; a store that does not answer is not waited for longer than a
    /// stop allows. What is counted later is shown, not kept. Blocks.
    pub(crate) fn close(&self) {
        if let Some((orders, thread)) = self.writer().take() {
            // The end of the orders is the order to write for the last time.
            drop(orders);
            let begun = Instant::now();
            while !thread.is_finished() && begun.elapsed() < LAST_WRITE {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Has the thread do something, and waits for it; none where there is no thread.
    fn order(
        &self,
        order: fn(SyncSender<Result<(), String>>) -> Order,
        patience: Duration,
    ) -> Option<Result<(), String>> {
        let busy = || "the store of usage figures does not answer in time".to_owned();
        let orders = self.writer().as_ref().map(|(orders, _)| orders.clone())?;
        let (reply, answer): (_, Receiver<_>) = sync_channel(1);
        if orders.try_send(order(reply)).is_err() {
            return Some(Err(busy()));
        }
        drop(orders);
        let answer = answer.recv_timeout(patience);
        Some(answer.unwrap_or_else(|_late| Err(busy())))
    }

    fn writer(&self) -> MutexGuard<'_, Option<(SyncSender<Order>, JoinHandle<()>)>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the last write may take, before a program ends.
const LAST_WRITE: Duration = Duration::from_secs(5);
/// How old a view may be that a request gets.
const RECENT: Duration = Duration::from_secs(1);
/// How long a reset or an import may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Drop for Usage {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    /// Whatever was counted until now is counted no more.
    fn forget(&mut self, counters: &Counters) {
        self.taken = grown(counters, &HashMap::new()).into_iter().collect();
        self.held = Totals::new();
        self.imported = Totals::new();
        self.batch = None;
    }
}

/// What each counter shows above what was taken of it.
fn grown(counters: &Counters, taken: &HashMap<String, Figures>) -> Totals {
    let counters = counters.read().unwrap_or_else(PoisonError::into_inner);
    let growth = |(name, counter): (&String, &Arc<Counter>)| {
        let earlier = taken.get(name).copied().unwrap_or_default();
        Some((name.clone(), counter.figures().since(&earlier)?))
    };
    counters.iter().filter_map(growth).collect()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text<S: serde::Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(&humantime::format_rfc3339_seconds(*time)),
        None => to.serialize_none(),
    }
}
