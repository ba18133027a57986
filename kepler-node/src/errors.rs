//! The one place where errors of the core become JavaScript errors (`err.code` is the kind), and the one place where work
//! leaves the event loop.

use kepler_core::Error;
use napi::bindgen_prelude::{AsyncTask, Object, ToNapiValue, TypeName};
use napi::{Env, JsError, Task};
use napi_derive::napi;

/// What the synchronous functions return.
pub(crate) type Result<T> = std::result::Result<T, napi::Error<&'static str>>;

/// The JavaScript error for an error of the core: code by kind, text as it stands.
pub(crate) fn to_js(error: Error) -> napi::Error<&'static str> {
    napi::Error::new(error.kind().as_str(), error.to_string())
}

/// Work off the event loop whose result, or error with its code, settles a promise.
pub struct Work<T>(Option<Job<T>>);

/// What is done off the event loop, once.
pub(crate) type Job<T> = Box<dyn FnOnce() -> kepler_core::Result<T> + Send>;

/// A promise of what `job` returns.
pub(crate) fn promise<T: Send + ToNapiValue + TypeName + 'static>(
    job: impl FnOnce() -> kepler_core::Result<T> + Send + 'static,
) -> AsyncTask<Work<T>> {
    AsyncTask::new(Work(Some(Box::new(job))))
}

impl<T: Send + ToNapiValue + TypeName + 'static> Task for Work<T> {
    type Output = kepler_core::Result<T>;
    type JsValue = T;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(run(&mut self.0))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> napi::Result<T> {
        settle(env, output)
    }
}

pub(crate) fn run<T>(job: &mut Option<Job<T>>) -> kepler_core::Result<T> {
    let none = Err(Error::Cancelled("the work was done already"));
    job.take().map_or(none, |job| job())
}

/// What a promise becomes.
pub(crate) fn settle<T>(env: Env, output: kepler_core::Result<T>) -> napi::Result<T> {
    output.map_err(|error| napi::Error::from(JsError::from(to_js(error)).into_unknown(env)))
}

/// As `promise`, on a thread of its own that ends with the job. Node has few threads for files, names of hosts and the like;
/// what may last for hours must not hold one.
pub(crate) fn promise_apart<'e, T: Send + ToNapiValue + 'static>(
    env: &'e Env,
    name: &str,
    job: impl FnOnce() -> kepler_core::Result<T> + Send + 'static,
) -> napi::Result<Object<'e>> {
    type Settle<T> = Box<dyn FnOnce(Env) -> napi::Result<T> + Send>;
    let (deferred, promise) = env.create_deferred::<T, Settle<T>>()?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    let working = deferred.clone();
    let started = thread.spawn(move || {
        let output = job();
        working.resolve(Box::new(move |env| settle(env, output)));
    });
    if let Err(source) = started {
        let error = Error::Kernel {
            call: format!("cannot start the thread {name}"),
            source,
            hint: String::new(),
        };
        deferred.resolve(Box::new(move |env| settle(env, Err(error))));
    }
    Ok(promise)
}

/// Throws an error of one kind: lets the tests see the mapping of kinds that no machine shows at will.
#[napi(js_name = "_throw", skip_typescript)]
pub fn throw(kind: String) -> Result<()> {
    let io = |code| Error::Kernel {
        call: kind.clone(),
        source: std::io::Error::from_raw_os_error(code),
        hint: String::new(),
    };
    Err(to_js(match kind.as_str() {
        "NotFound" => Error::NotFound {
            what: "model",
            name: kind,
            hint: String::new(),
        },
        "PermissionDenied" => io(1),
        "Malformed" => Error::Malformed {
            place: kind,
            want: "a number".to_owned(),
            found: "x".to_owned(),
        },
        "TooLarge" => Error::TooLarge {
            what: kind,
            size: 2,
            limit: 1,
        },
        "Unsupported" => Error::Unsupported {
            what: kind,
            why: "asked for".to_owned(),
            hint: String::new(),
        },
        "Io" => io(5),
        "Forked" => Error::Forked("monitor"),
        "Cancelled" => Error::Cancelled("asked for"),
        _ => Error::InvalidInput {
            what: "kind".to_owned(),
            why: format!("{kind} is none"),
        },
    }))
}
