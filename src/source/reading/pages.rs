//! The walk through the pages of a window.

use super::page::{self, Held};
use super::{Refine, Source};
use crate::connector::model::{Order, Read};
use crate::source::cursor::Cursor;
use crate::source::upstream::Refusal;
use crate::source::walk::{Turn, turn};
use crate::source::{Page, Priority, Progress};

impl Source {
    /// Reads the page the window stands at; where the newest come first, all pages of it.
    pub(super) async fn read_pages<T: Send>(
        &self,
        cursor: &Cursor,
        read: &Read,
        priority: Priority,
        refine: Refine<'_, T>,
    ) -> Result<Page<T>, Refusal> {
        let mut cursor = cursor.clone();
        let mut held: Vec<Held<T>> = Vec::new();
        let mut own_reads = 0;
        let mut bytes = 0;
        loop {
            let window = cursor.window.as_mut().expect("the caller opened it");
            let request = self.page_request(read, window)?;
            let answer = match self.upstream.call(&request, priority).await {
                Err(refusal) if window.parents.is_some() && refusal.is_gone() => {
                    let (next, progress) = self.without_parent(&cursor, refusal)?;
                    return Ok(page::in_order(held, next, progress, own_reads));
                }
                answer => answer?,
            };
            window.asked_at = window.asked_at.min(self.upstream.now());
            let mut decoded = self.decode_page(&answer, &request.url, window, refine)?;
            if let Some(detail) = &read.detail {
                self.fetch_details(detail, window, priority, refine, &mut decoded).await?;
            }
            own_reads += decoded.own_reads;
            self.watch_for_strangers(&decoded.items, window);
            let asked = self.page_size_of(read, window);
            window.note_page(decoded.received, asked, decoded.total);
            if read.order == Order::Ascending {
                window.note_order(decoded.times.iter().copied());
            }
            held.append(&mut decoded.items);
            bytes += answer.body.len();
            match turn(&cursor, decoded.step, read.order, held.len(), bytes) {
                Turn::Read(next) => cursor = next,
                Turn::HandOut(next) => return Ok(page::in_order(held, next, Progress::More, own_reads)),
                Turn::Drop(next) => return Ok(page::without_records(next, Progress::More)),
                Turn::Finish(last) => {
                    let (next, progress) = self.finished(&last);
                    return Ok(page::in_order(held, next, progress, own_reads));
                }
                Turn::Stuck(what) => return Err(self.stuck(what)),
                Turn::Elsewhere(where_to) => return Err(self.elsewhere(&where_to)),
            }
        }
    }
}
