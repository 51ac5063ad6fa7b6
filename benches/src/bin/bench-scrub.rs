//! What it costs to keep secrets out of log lines: the scrubber of the shim beside what else could do it, on the same
//! text in turn. Prints nanoseconds a byte, and the share of one core at 10 MB of log a second.

use std::time::Instant;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;
use roadstead_control::Secret;
use roadstead_shim::mask::{Masks, Scrubber};

/// Log that is masked in one measurement.
const TEXT_BYTES: usize = 8 * 1024 * 1024;
/// What the shim reads at once.
const READ_BYTES: usize = 8 * 1024;
const ROUNDS: usize = 7;
/// The rate for which the share of a core is given.
const BYTES_PER_SECOND: f64 = 10e6;

fn main() {
    let tokens =
        ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "postgres://app:s3cr%et/+pw@db.example.com/app"];
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", line(64).repeat(26));
    for (name, values) in [
        ("two tokens", tokens.to_vec()),
        ("two tokens and a key of 28 lines", vec![tokens[0], tokens[1], &key]),
    ] {
        let forms: Vec<String> = values.iter().flat_map(|value| forms(value)).collect();
        let masks =
            Masks::new(&values.iter().map(|value| Secret::new((*value).to_owned())).collect::<Vec<_>>());
        println!("{name} ({} forms)", forms.len());
        for (kind, text) in [("ordinary log", log()), ("beginnings of secrets", beginnings(&tokens))] {
            measure(kind, &text, &forms, &masks);
        }
    }
}

/// A way to look for secrets, and the least time that it took for a byte, in seconds.
type Candidate<'a> = (&'static str, f64, Box<dyn FnMut(&[u8]) + 'a>);

fn measure(kind: &str, text: &[u8], forms: &[String], masks: &Masks) {
    let finders: Vec<Finder<'_>> = forms.iter().map(|form| Finder::new(form.as_bytes())).collect();
    let automaton =
        AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms).expect("an automaton");
    let mut out = Vec::with_capacity(2 * READ_BYTES);
    let mut candidates: [Candidate<'_>; 4] = [
        (
            "nothing but a copy",
            f64::MAX,
            Box::new(|piece| {
                std::hint::black_box(piece.to_vec());
            }),
        ),
        (
            "a finder for each form",
            f64::MAX,
            Box::new(|piece| {
                std::hint::black_box((
                    piece.to_vec(),
                    finders.iter().filter(|finder| finder.find(piece).is_some()).count(),
                ));
            }),
        ),
        (
            "aho-corasick",
            f64::MAX,
            Box::new(|piece| {
                std::hint::black_box((piece.to_vec(), automaton.find_iter(piece).count()));
            }),
        ),
        ("the shim's scrubber", f64::MAX, {
            let mut scrubber = Scrubber::default();
            Box::new(move |piece| {
                out.clear();
                scrubber.feed(masks, piece, &mut out);
                std::hint::black_box(&out);
            })
        }),
    ];
    for _ in 0..ROUNDS {
        for (_, best, scrub) in &mut candidates {
            let began = Instant::now();
            text.chunks(READ_BYTES).for_each(&mut *scrub);
            *best = best.min(
                began.elapsed().as_secs_f64() / f64::from(u32::try_from(text.len()).expect("some megabytes")),
            );
        }
    }
    let copy = candidates[0].1;
    for (name, best, _) in &candidates {
        let (nanos, share) = (best * 1e9, (best - copy) * BYTES_PER_SECOND * 100.0);
        println!("  {kind:22} {name:24} {nanos:7.3} ns a byte  {share:6.2} % of a core at 10 MB/s");
    }
}

/// About as many forms as a value has that needs all of them.
fn forms(value: &str) -> Vec<String> {
    let hex = value.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let lines = value.lines().map(str::to_owned);
    let others =
        ["A", "B", "C", "D", "E", "F", "G", "H"].map(|other| format!("{other}{}", hex.to_uppercase()));
    lines.chain([value.to_owned(), hex]).chain(others).collect()
}

fn line(length: usize) -> String {
    let mut state = 7_u32;
    let letters = (0..length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(state >> 26) as usize],
        )
    });
    letters.collect::<String>() + "\n"
}

fn log() -> Vec<u8> {
    let lines = [
        "2026-01-02T03:04:05.678Z INFO  server: request id=4711 method=tools/call tool=search took=12.3ms status=ok",
        "{\"level\":\"debug\",\"msg\":\"GET https://api.example.com/v1/items?page=2&per_page=%31\",\"time\":1767323045}",
        "    at Object.<anonymous> (/usr/lib/node_modules/server/dist/index.js:117:19)",
        "warning: the response has 1024 rows; only the first 100 are given back\tpath=C:\\data\\items.csv",
    ];
    let text = lines.join("\n") + "\n";
    text.bytes().cycle().take(TEXT_BYTES).collect()
}

fn beginnings(values: &[&str]) -> Vec<u8> {
    let text = values.iter().map(|value| &value[..value.len() - 1]).collect::<Vec<_>>().join(" ") + " ";
    text.bytes().cycle().take(TEXT_BYTES).collect()
}
