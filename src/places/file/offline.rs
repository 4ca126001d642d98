//! A places file that is opened when it is first asked and stays open.
//!
//! Knows no threads and no upstream. Invariant: a file that fails is tried again after [`REOPEN_AFTER`], not before.

use crate::places::Query;
use crate::places::error::PlacesError;
use crate::places::file::format::{Dat, Scratch};
use crate::places::file::render::{answer_with_info, error_form};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file that cannot be opened is tried again after this long: soon enough after the operator has put it right, and
/// seldom enough that reading 4 MB to check a bad one is no load.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// A places file to be asked.
pub(crate) struct Offline {
    file: PathBuf,
    /// Kept open, so that a query costs no open and no checksum. Boxed: a node that is never asked has no buffers.
    open: Option<Box<(Dat, Scratch)>>,
    /// Why it is not open, as the clients' answer, and when that was found.
    failure: Option<(Instant, Vec<u8>)>,
}

impl Offline {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file, open: None, failure: None }
    }

    /// The file's name without its folders.
    pub(crate) fn name(&self) -> String {
        self.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The answer, with `info` among its `info_messages`, or the error form when there is none.
    pub(crate) fn answer(&mut self, query: &Query, info: Option<&str>) -> Result<Vec<u8>, Vec<u8>> {
        if let Some((at, form)) = &self.failure
            && at.elapsed() < REOPEN_AFTER
        {
            return Err(form.clone());
        }
        self.try_answer(query, info).map_err(|error| {
            let form = error_form(&error);
            if !matches!(error, PlacesError::BadQuery(_)) {
                log::warn!("{error}");
                // A file that failed is opened afresh: the card may be back, or the file made again.
                self.open = None;
                self.failure = Some((Instant::now(), form.clone()));
            }
            form
        })
    }

    fn try_answer(&mut self, query: &Query, info: Option<&str>) -> Result<Vec<u8>, PlacesError> {
        if self.open.is_none() {
            let dat = Dat::open(&self.file)?;
            log::info!("places: {} places in {}", dat.places(), self.file.display());
            self.failure = None;
            self.open = Some(Box::new((dat, Scratch::new())));
        }
        let Some((dat, scratch)) = self.open.as_deref_mut() else { return Err(PlacesError::NoSource) };
        answer_with_info(dat, query, scratch, info)
    }
}
