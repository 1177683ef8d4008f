//! Cursors: which window comes next, and what a restart keeps.

use chrono::{DateTime, Duration, Utc};

use crate::source::Rules;
use crate::source::cursor::{Cursor, Identity, Pages, Parents, Place, Rest, Window};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

const RULES: Rules = Rules {
    size: Duration::seconds(3600),
    grow_to: Duration::zero(),
    lag: Duration::seconds(60),
    overlap: Duration::seconds(600),
};

fn open(cursor: &Cursor, rules: &Rules, now: DateTime<Utc>) -> Option<Cursor> {
    Some(cursor.open(cursor.next_span(rules, now)?, "pages", now))
}

fn window(cursor: &mut Cursor) -> &mut Window {
    cursor.window.as_mut().unwrap()
}

fn seconds(cursor: &Cursor) -> (i64, i64) {
    let window = cursor.window.as_ref().unwrap();
    ((window.from - at(0)).num_seconds(), (window.until - at(0)).num_seconds())
}

fn token() -> Place {
    Place::Token { token: "t".to_owned(), before: Vec::new() }
}

#[test]
fn catching_up_goes_window_by_window_and_then_re_reads_the_overlap() {
    let mut cursor = Cursor::at(at(0));
    let mut spans = Vec::new();
    for now in [at(5000), at(5000), at(5100)] {
        let open = open(&cursor, &RULES, now).unwrap();
        spans.push(seconds(&open));
        cursor = open.finish(&RULES);
    }
    assert_eq!(spans, [(0, 3600), (3600, 4940), (4340, 5040)]);
    assert_eq!(cursor.next_span(&RULES, at(5100)), None);
}

#[test]
fn a_window_that_is_too_full_is_halved_and_grows_again() {
    let cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    let half = cursor.halve().unwrap();
    assert_eq!(half.window.as_ref().unwrap().until, at(1800));
    let next = half.finish(&RULES);
    assert_eq!(next.next_span(&RULES, at(100_000)), Some((at(1800), at(1800 + 3600))));
}

#[test]
fn an_overlap_that_is_too_full_is_read_in_pieces_to_its_end() {
    // Settled up to 4000, complete up to 4900; nothing wider than five minutes fits into a window.
    let mut cursor = Cursor { settled: at(4000), complete_up_to: at(4900), ..Cursor::at(at(0)) };
    let mut spans = Vec::new();
    while cursor.complete_up_to < at(4940) {
        let mut open = open(&cursor, &RULES, at(5000 + spans.len() as i64)).unwrap();
        while seconds(&open).1 - seconds(&open).0 > 300 {
            open = open.halve().unwrap();
        }
        spans.push(seconds(&open));
        cursor = open.finish(&RULES);
        assert!(spans.len() < 20, "{spans:?}");
    }
    // One after the other without a gap, up to now minus the lag.
    assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0), "{spans:?}");
    assert_eq!((spans[0].0, spans.len() > 3), (4000, true), "{spans:?}");
    // The first window was old enough to be settled whole. Of the others, it counts when the first was read: at 5001.
    assert_eq!((cursor.settled, cursor.rest), (at(5001 - 60 - 600), None));
}

#[test]
fn a_quiet_log_is_read_in_ever_wider_windows_and_a_busy_one_is_not() {
    let rules = Rules { grow_to: Duration::hours(5), ..RULES };
    let now = at(1_000_000);
    let mut cursor = Cursor::at(at(0));
    let mut widths = Vec::new();
    // (records on each page) of at most 100.
    let pages: [&[usize]; 9] = [&[49], &[0], &[], &[49], &[50], &[49], &[10, 1], &[1, 0], &[100]];
    for pages in pages {
        let mut open = open(&cursor, &rules, now).unwrap();
        let (from, until) = seconds(&open);
        widths.push((until - from) / 3600);
        for received in pages {
            window(&mut open).note_page(*received, Some(100), None);
        }
        cursor = open.finish(&rules);
    }
    assert_eq!(widths, [1, 2, 4, 5, 5, 1, 2, 1, 2]);
    assert_eq!(cursor.width, None);
    // A window that ends at now says nothing of a wider one.
    let near = Cursor { width: Some(7200), ..Cursor::at(at(0)) };
    assert_eq!(open(&near, &rules, at(1000)).unwrap().finish(&rules).width, Some(7200));
    assert_eq!(open(&near, &RULES, at(100_000)).unwrap().finish(&RULES).width, None);
}

#[test]
fn a_token_does_not_survive_a_restart_but_what_was_read_in_order_does() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    window(&mut cursor).place = token();
    window(&mut cursor).read_up_to = Some(at(90));
    let durable = cursor.durable().window.unwrap();
    assert_eq!((durable.place, durable.from, durable.until), (Place::Start, at(90), at(3600)));
}

#[test]
fn page_numbers_offsets_and_ids_survive_a_restart() {
    let after = Place::After { id: "a".to_owned(), time: Some(at(5)), before: vec!["b".to_owned()] };
    for place in [Place::Page(7), Place::Offset(700), after] {
        let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
        window(&mut cursor).place = place;
        window(&mut cursor).read_up_to = Some(at(90));
        assert_eq!(cursor.durable(), cursor);
    }
}

#[test]
fn of_several_parents_each_is_read_from_the_windows_start() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    let left = ["a", "b"].map(str::to_owned).to_vec();
    window(&mut cursor).parents = Some(Parents { left, ..Parents::default() });
    window(&mut cursor).place = token();
    window(&mut cursor).read_up_to = Some(at(90));
    let durable = cursor.durable().window.unwrap();
    assert_eq!((durable.place, durable.from), (Place::Start, at(0)));
}

#[test]
fn beginning_again_is_counted_only_where_it_gets_no_further() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    for seconds in [90, 180, 270, 360] {
        window(&mut cursor).place = token();
        window(&mut cursor).read_up_to = Some(at(seconds));
        cursor = cursor.begin_again(1).unwrap();
        let window = cursor.window.as_ref().unwrap();
        assert_eq!((&window.place, window.from, window.resets), (&Place::Start, at(seconds), 0));
    }
    let again = cursor.begin_again(1).unwrap();
    assert_eq!(again.window.as_ref().unwrap().resets, 1);
    assert_eq!(again.begin_again(1), None);
}

#[test]
fn a_ceiling_is_passed_from_the_last_record_on_where_the_order_held() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    window(&mut cursor).place = Place::Offset(9000);
    window(&mut cursor).read_up_to = Some(at(1000));
    assert_eq!(seconds(&cursor.narrow().unwrap()), (1000, 3600));
    window(&mut cursor).read_up_to = None;
    assert_eq!(seconds(&cursor.narrow().unwrap()), (0, 1800));
    // A single second cannot be cut.
    window(&mut cursor).until = at(1);
    assert_eq!(cursor.narrow(), None);
}

#[test]
fn pages_that_become_smaller_leave_nothing_out() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    let window = window(&mut cursor);
    window.place = Place::Page(7);
    window.note_page(250, Some(250), Some(9));
    window.resize_pages(1, 100);
    // Six pages of 250 were read: 1500 records, which are fifteen pages of 100.
    assert_eq!((&window.place, window.pages.size, window.pages.total), (&Place::Page(16), Some(100), None));
}

#[test]
fn a_job_is_ordered_again_a_few_times_and_then_seldom() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    let patience = Duration::hours(2);
    let job = |id: &str, ordered_at| Place::Job {
        id: id.to_owned(),
        ordered_at,
        attempts: 0,
        halves: 2,
        refused: vec!["before".to_owned()],
    };
    for turn in 0..3 {
        window(&mut cursor).place = job("j", at(0));
        cursor = cursor.order_again(at(5), 3, patience).unwrap();
        let refused = vec!["before".to_owned(), "j".to_owned()];
        let expected = Place::Ordering { ordered_at: at(5), attempts: 1, refused };
        let window = cursor.window.as_ref().unwrap();
        assert_eq!((&window.place, window.resets), (&expected, turn + 1));
    }
    window(&mut cursor).place = job("j", at(5));
    assert_eq!(cursor.order_again(at(6), 3, patience), None);
    assert!(cursor.order_again(at(5 + 7200), 3, patience).is_some());
}

/// What earlier versions wrote can be read, and means the same.
#[test]
fn cursors_from_before_can_be_read() {
    let bare =
        r#"{"complete_up_to":"2023-11-14T22:13:20Z","settled":"2023-11-14T22:13:20Z","window":null,"width":null}"#;
    assert_eq!(serde_json::from_str::<Cursor>(bare).unwrap(), Cursor { begin: None, ..Cursor::at(at(0)) });

    let places = [
        (r#""start""#, Place::Start),
        (r#"{"page":7}"#, Place::Page(7)),
        (r#"{"offset":700}"#, Place::Offset(700)),
        (
            r#"{"token":{"token":"t","before":["s"]}}"#,
            Place::Token { token: "t".to_owned(), before: vec!["s".to_owned()] },
        ),
        (
            r#"{"job":{"id":"j","ordered_at":"2023-11-14T22:13:20Z","attempts":1}}"#,
            Place::Job { id: "j".to_owned(), ordered_at: at(0), attempts: 1, halves: 0, refused: Vec::new() },
        ),
    ];
    for (written, place) in places {
        let text = format!(
            r#"{{"complete_up_to":"2023-11-14T22:13:20Z","settled":"2023-11-14T22:03:20Z","window":{{"from":"2023-11-14T22:03:20Z","until":"2023-11-14T23:13:20Z","asked_at":"2023-11-15T00:00:00Z","read":"pages","place":{written},"read_up_to":"2023-11-14T22:10:00Z","resets":2}},"width":1800,"end":null}}"#
        );
        let expected = Cursor {
            settled: at(-600),
            width: Some(1800),
            begin: None,
            window: Some(Window {
                from: at(-600),
                until: at(3600),
                asked_at: at(6400),
                read: "pages".to_owned(),
                place,
                read_up_to: Some(at(-200)),
                resets: 2,
                since: None,
                pages: Pages::default(),
                parents: None,
            }),
            ..Cursor::at(at(0))
        };
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), expected, "{written}");
    }
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let mut cursor = open(&Cursor::between(at(0), at(9000)), &RULES, at(100_000)).unwrap();
    cursor.rest = Some(Rest { from: at(5), since: at(6) });
    window(&mut cursor).since = Some(at(7));
    window(&mut cursor).note_page(3, Some(100), Some(5));
    window(&mut cursor).parents = Some(Parents { left: vec!["a".to_owned()], read: 1, gone: 1 });
    for place in [
        Place::After { id: "a".to_owned(), time: Some(at(5)), before: vec!["b".to_owned()] },
        Place::Ordering { ordered_at: at(5), attempts: 2, refused: vec!["j".to_owned()] },
        Place::Job { id: "j".to_owned(), ordered_at: at(5), attempts: 2, halves: 1, refused: Vec::new() },
    ] {
        window(&mut cursor).place = place;
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor, "{text}");
    }
}

fn identity(account: &str, asked: &str) -> Option<Identity> {
    Some(Identity { account: account.to_owned(), asked: asked.to_owned() })
}

#[test]
fn a_cursor_of_another_account_begins_anew_and_one_of_other_filters_reads_its_window_again() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    cursor.of = identity("one", "all");
    window(&mut cursor).place = Place::Offset(5000);
    let adopted = |account: &str, asked: &str| {
        let (next, told) = cursor.adopted_by(&identity(account, asked).unwrap(), at(-50));
        (next, told.is_some())
    };
    assert_eq!(adopted("one", "all"), (cursor.clone(), false));
    let filtered = Cursor { of: identity("one", "some"), window: None, ..cursor.clone() };
    assert_eq!(adopted("one", "some"), (filtered, true));
    let other = Cursor { of: identity("other", "all"), ..Cursor::at(at(-50)) };
    assert_eq!(adopted("other", "all"), (other, true));

    let span = Cursor { of: identity("one", "all"), ..Cursor::between(at(0), at(100)) };
    let (anew, _) = span.finish(&RULES).adopted_by(&identity("other", "all").unwrap(), at(-50));
    assert_eq!((anew.begin, anew.end, anew.complete_up_to), (Some(at(0)), Some(at(100)), at(0)));
    let unknown = Cursor { of: None, ..cursor.clone() };
    assert_eq!(unknown.adopted_by(&identity("one", "all").unwrap(), at(-50)), (cursor.clone(), None));
}

#[test]
fn a_record_that_does_not_say_when_it_happened_is_no_place_to_go_on_from() {
    let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
    window(&mut cursor).note_order([Some(at(5)), Some(at(9)), None].into_iter());
    window(&mut cursor).place = token();
    window(&mut cursor).note_order([Some(at(20))].into_iter());
    let durable = cursor.durable().window.unwrap();
    assert_eq!((durable.from, durable.place), (at(0), Place::Start));
}
