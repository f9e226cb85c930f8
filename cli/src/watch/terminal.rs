//! The terminal, taken and given back.

use std::io;

use crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The whole screen; given back when it is dropped, and by a panic.
pub struct Screen {
    terminal: DefaultTerminal,
    events: UnboundedReceiver<Event>,
}

impl Screen {
    /// Takes the screen.
    ///
    /// # Errors
    /// The terminal's.
    pub fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let (sender, events) = unbounded_channel();
        // It ends with the process: nothing else wakes what waits for a key.
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { terminal, events })
    }

    /// Draws what has changed.
    ///
    /// # Errors
    /// The terminal's.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// The next key, or change of size; `None` once the terminal is gone.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Gives the terminal back and stops, as Ctrl-Z asks for; takes it again when the process goes on.
    ///
    /// # Errors
    /// The terminal's.
    pub fn suspend(&mut self) -> io::Result<()> {
        ratatui::try_restore()?;
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        self.terminal = ratatui::try_init()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = ratatui::try_restore();
    }
}
