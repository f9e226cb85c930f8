//! A dependency that all applications of a service share, in both slots, and that can be made to fail for all of
//! them at once, as a database would.
//!
//! It is a file. While it exists, applications answer the share of requests that is written in it, 0 to 1 and a
//! line feed, with 500. They look at every request, so that whoever has written it need not wait for anything.
//! Health checks know nothing of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The file, for those who make it fail and for those who suffer.
#[derive(Clone, Debug)]
pub struct Dependency {
    file: PathBuf,
    /// What was last read from it.
    failing: Arc<Mutex<f64>>,
}

impl Dependency {
    /// The dependency that this file tells of.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), failing: Arc::default() }
    }

    /// That of a service in the lab with this run directory.
    pub(crate) fn of_service(run_dir: &Path, service: &str) -> Self {
        Self::new(run_dir.join("tmp").join(format!("dependency-{service}")))
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Makes it fail for this share of requests, 0 to 1.
    ///
    /// # Errors
    /// For any other share, or if the file cannot be written.
    pub fn fail(&self, share: f64) -> io::Result<()> {
        if !(0.0..=1.0).contains(&share) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{share} is not between 0 and 1")));
        }
        // In one step: applications must not read half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{share}\n"))?;
        fs::rename(&new, &self.file)
    }

    /// Lets it work again.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn restore(&self) -> io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The share of requests that fail. A file that somebody is still writing, which does not end with a line feed
    /// or is no share, changes nothing.
    pub(crate) fn failing(&self) -> f64 {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::read_to_string(&self.file) {
            Ok(text) => {
                let share = text.strip_suffix('\n').and_then(|number| number.trim().parse().ok());
                *failing = share.filter(|share| (0.0..=1.0).contains(share)).unwrap_or(*failing);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => *failing = 0.0,
            // Unreadable for a moment: no news.
            Err(_) => {}
        }
        *failing
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "what is written is read, to the last bit")]
mod tests {
    use super::*;

    #[test]
    fn it_fails_as_it_is_told_and_ignores_what_is_half_written() {
        let dir = std::env::temp_dir().join(format!("spillway-dependency-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let dependency = Dependency::new(dir.join("dependency"));
        assert_eq!(dependency.failing(), 0.0);
        dependency.restore().unwrap();
        dependency.fail(0.25).unwrap();
        assert_eq!(dependency.failing(), 0.25);
        assert_eq!(fs::read_to_string(dependency.file()).unwrap(), "0.25\n");
        for unfinished in ["", "0.", "0.7", "much\n", "7\n", "NaN\n"] {
            fs::write(dependency.file(), unfinished).unwrap();
            assert_eq!(dependency.failing(), 0.25, "{unfinished:?}");
        }
        fs::write(dependency.file(), "0.75\n").unwrap();
        assert_eq!(dependency.failing(), 0.75);
        assert_eq!(dependency.fail(1.5).unwrap_err().to_string(), "1.5 is not between 0 and 1");
        dependency.restore().unwrap();
        assert_eq!(dependency.failing(), 0.0);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        fs::remove_dir_all(&dir).unwrap();
    }
}
