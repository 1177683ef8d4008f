//! From an event to VRL's values and back, without a digit lost on the way.
//!
//! VRL has numbers of 64 bits, keeps members sorted, and has each key once. What a program leaves as it was gets its own
//! digits, order and doubled keys back. A number that VRL rounds gets them back wherever the program put it.

use std::collections::{BTreeMap, HashMap};

use bumpalo::collections::Vec as ArenaVec;
use chrono::SecondsFormat;
use vrl::value::{KeyString, ObjectMap, Value as Vrl};

use crate::event::json::MAX_DEPTH;
use crate::event::{Arena, Member, Value};

type Refused = &'static str;

/// The numbers of an event that VRL holds as 64-bit floats, by their bits, as they were written.
#[derive(Debug, Default)]
pub struct Numbers<'a> {
    floats: HashMap<u64, &'a str>,
    has_doubled_keys: bool,
}

impl<'a> Numbers<'a> {
    /// The value as VRL has it.
    ///
    /// # Errors
    /// A number is beyond VRL's, or two of them are the same to it and not to us.
    pub fn vrl(&mut self, value: Value<'a>) -> Result<Vrl, Refused> {
        Ok(match value {
            Value::Null => Vrl::Null,
            Value::Bool(flag) => Vrl::Boolean(flag),
            Value::String(text) => Vrl::from(text),
            Value::Number(digits) => match digits.parse() {
                Ok(whole) => Vrl::Integer(whole),
                Err(_) => self.float(digits)?,
            },
            Value::Array(items) => Vrl::Array(items.iter().map(|item| self.vrl(*item)).collect::<Result<_, _>>()?),
            Value::Object(members) => {
                let mut all = ObjectMap::new();
                for member in members {
                    let earlier = all.insert(KeyString::from(member.key), self.vrl(member.value)?);
                    self.has_doubled_keys |= earlier.is_some();
                }
                Vrl::Object(all)
            }
        })
    }

    fn float(&mut self, digits: &'a str) -> Result<Vrl, Refused> {
        let float: f64 = digits.parse().map_err(|_| "the event has a number that is none")?;
        if float.is_infinite() || (float == 0.0 && !decimal(digits).1.is_empty()) {
            return Err("the event has a number that is too large or too small for VRL");
        }
        let known = *self.floats.entry(float.to_bits()).or_insert(digits);
        if known != digits && decimal(known) != decimal(digits) {
            return Err("the event has two numbers that VRL cannot tell apart");
        }
        Ok(Vrl::from_f64_or_zero(float))
    }

    /// What a program left, as an event has it. `before` is what the program was given.
    ///
    /// # Errors
    /// JSON cannot hold it.
    pub fn restore(&self, before: Value<'a>, after: Vrl, arena: &'a Arena) -> Result<Value<'a>, Refused> {
        self.value(Some(before), after, arena, MAX_DEPTH)
    }

    fn value(
        &self,
        before: Option<Value<'a>>,
        after: Vrl,
        arena: &'a Arena,
        depth: usize,
    ) -> Result<Value<'a>, Refused> {
        let deeper = || depth.checked_sub(1).ok_or("the program nests the event too deep");
        Ok(match after {
            Vrl::Null => Value::Null,
            Vrl::Boolean(flag) => Value::Bool(flag),
            Vrl::Integer(whole) => match before {
                Some(number @ Value::Number(digits)) if digits.parse() == Ok(whole) => number,
                _ => Value::integer(whole, arena),
            },
            Vrl::Float(float) => self.number(float.into_inner(), arena)?,
            Vrl::Bytes(bytes) => text(before, std::str::from_utf8(&bytes).map_err(|_| NOT_UTF8)?, arena),
            Vrl::String(string) => text(before, &string, arena),
            Vrl::Regex(pattern) => text(before, pattern.as_str(), arena),
            Vrl::Timestamp(time) => text(before, &time.to_rfc3339_opts(SecondsFormat::AutoSi, true), arena),
            Vrl::Array(items) => {
                let (known, depth) = (before.and_then(|list| list.as_array()).unwrap_or_default(), deeper()?);
                let mut all = ArenaVec::with_capacity_in(items.len(), arena);
                for (index, item) in items.into_iter().enumerate() {
                    all.push(self.value(known.get(index).copied(), item, arena, depth)?);
                }
                Value::Array(all.into_bump_slice())
            }
            Vrl::Object(members) => {
                let known = before.and_then(|object| object.as_object()).unwrap_or_default();
                self.object(known, members, arena, deeper()?)?
            }
        })
    }

    /// The members that were there in their order, then those that are new.
    fn object(
        &self,
        before: &'a [Member<'a>],
        mut after: ObjectMap,
        arena: &'a Arena,
        depth: usize,
    ) -> Result<Value<'a>, Refused> {
        let mut all = ArenaVec::with_capacity_in(after.len(), arena);
        // Of doubled keys VRL saw the last. The earlier ones stay beside one that is as it was, and go with one that is not.
        let mut untouched: BTreeMap<&str, bool> = BTreeMap::new();
        for member in before.iter().rev() {
            match after.remove(member.key) {
                Some(value) => {
                    let value = self.value(Some(member.value), value, arena, depth)?;
                    if self.has_doubled_keys {
                        untouched.insert(member.key, value == member.value);
                    }
                    all.push(Member::new(member.key, value));
                }
                None if untouched.get(member.key) == Some(&true) => all.push(*member),
                None => {}
            }
        }
        all.reverse();
        for (key, value) in after {
            all.push(Member::new(arena.alloc_str(&key), self.value(None, value, arena, depth)?));
        }
        Ok(Value::Object(all.into_bump_slice()))
    }

    fn number(&self, float: f64, arena: &'a Arena) -> Result<Value<'a>, Refused> {
        if let Some(digits) = self.floats.get(&float.to_bits()) {
            return Ok(Value::Number(digits));
        }
        let number = serde_json::Number::from_f64(float).ok_or("the program makes a number without an end")?;
        Ok(Value::Number(arena.alloc_str(&number.to_string())))
    }
}

const NOT_UTF8: Refused = "the program makes a text that is not UTF-8";

/// The text that was there if it is the same.
fn text<'a>(before: Option<Value<'a>>, after: &str, arena: &'a Arena) -> Value<'a> {
    match before {
        Some(text @ Value::String(known)) if known == after => text,
        _ => Value::String(arena.alloc_str(after)),
    }
}

/// What a number is however it is written: its sign, its digits without zeros around them, and where the point is.
fn decimal(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let point = exponent.parse::<i64>().unwrap_or(i64::MAX / 2) + whole.len() as i64 - leading as i64;
    let significant = significant.trim_end_matches('0').to_owned();
    if significant.is_empty() { (negative, significant, 0) } else { (negative, significant, point) }
}
