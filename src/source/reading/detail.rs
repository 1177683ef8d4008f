//! List-then-detail: what is listed are summaries, and each record is fetched by itself.

use serde_json::Value as Json;

use super::page::Decoded;
use super::{Refine, Source};
use crate::connector::model::Detail;
use crate::event::json::{self, JsonError};
use crate::event::{Arena, Path, Value};
use crate::source::Priority;
use crate::source::cursor::Window;
use crate::source::request::{Prepared, prepare};
use crate::source::upstream::Refusal;

/// What a variable of the listed record begins with.
const RECORD: &str = "record.";

impl Source {
    /// Fetches what a page lists, one by one and each within the budget. What is gone meanwhile is kept as it was listed.
    pub(super) async fn fetch_details<T: Send>(
        &self,
        detail: &Detail,
        window: &Window,
        priority: Priority,
        refine: Refine<'_, T>,
        decoded: &mut Decoded<T>,
    ) -> Result<(), Refusal> {
        for listed in std::mem::take(&mut decoded.listed) {
            let answer = match self.detail_request(detail, &listed, window) {
                None => None,
                Some(request) => match self.upstream.call(&request, priority).await {
                    Err(refusal) if refusal.is_gone() => None,
                    answer => Some(answer?),
                },
            };
            let text = answer.as_ref().map_or(listed.as_bytes(), |answer| &answer.body);
            self.decode_detail(text, (detail, &listed), window, refine, decoded)
                .map_err(|error| self.stuck(&format!("answered with something that is {error}")))?;
        }
        Ok(())
    }

    /// `None` when the listed record does not have what the request names.
    fn detail_request(&self, detail: &Detail, listed: &str, window: &Window) -> Option<Prepared> {
        let arena = Arena::new();
        let record = json::decode(listed.as_bytes(), &arena).ok()?;
        let lookup = |name: &str| match name.strip_prefix(RECORD) {
            Some(path) => variable_of(record, path),
            None => self.variable(name, window, &[]),
        };
        detail.request.path.fill_text(&lookup)?;
        Some(prepare(&self.settings().base_url, &detail.request, &self.definition().filters, &[], &lookup))
    }

    fn decode_detail<T>(
        &self,
        text: &[u8],
        (detail, listed): (&Detail, &str),
        window: &Window,
        refine: Refine<'_, T>,
        decoded: &mut Decoded<T>,
    ) -> Result<(), JsonError> {
        let arena = Arena::new();
        let text = String::from_utf8_lossy(text);
        let answer = match json::decode(text.as_bytes(), &arena) {
            Err(JsonError::TooDeep { .. }) => json::decode(&json::flatten(text.as_bytes()), &arena)?,
            answer => answer?,
        };
        let record = match &detail.record {
            Some(path) => path.find(answer),
            None => Some(answer),
        };
        let record = match record {
            Some(record) if !record.is_null() => record,
            // Without the record in its place, what was listed is all there is.
            _ => json::decode(listed.as_bytes(), &arena)?,
        };
        self.decode_record(record, window, refine, &arena, decoded);
        Ok(())
    }
}

/// What a listed record has at a path, if it can stand in a request. One that is dots would lead to another path.
fn variable_of(record: Value<'_>, path: &str) -> Option<Json> {
    match path.parse::<Path>().ok()?.find(record)? {
        Value::Number(digits) => Some(digits.parse::<i64>().map_or_else(|_| digits.into(), Json::from)),
        Value::String(text) if !text.is_empty() && text != "." && text != ".." => Some(text.into()),
        _ => None,
    }
}
