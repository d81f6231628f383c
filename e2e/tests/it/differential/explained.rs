//! The differences between Prometheus 3, which this server speaks, and 2.42, which it is compared
//! with: each with its reason, a query that shows it, and what either answers. The generated
//! queries keep away from them. A difference that has gone fails this test too: the list says
//! what is so.

use super::{Both, When, asked, data};

/// What an answer has to be: a status, and a text it contains.
type Answer = (u16, &'static str);

/// A difference.
struct Explained {
    why: &'static str,
    query: &'static str,
    /// When, ms after the first step of the samples.
    at_ms: i64,
    theirs: Answer,
    ours: Answer,
}

const ALL: &[Explained] = &[
    Explained {
        why: "windows are open on their left in 3: a sample on the edge belongs to one of two",
        query: "count_over_time(vector(1)[1m:15s])",
        at_ms: 3_600_000,
        theirs: (200, "\"5\""),
        ours: (200, "\"4\""),
    },
    Explained {
        why: "so is the look-back of a selector: exactly five minutes are too long ago in 3",
        query: "count(gone)",
        at_ms: data::GONE_MS + 300_000,
        theirs: (200, "\"1\""),
        ours: (200, "\"result\":[]"),
    },
    Explained {
        why: "any UTF-8 text is a label's name in 3",
        query: "label_replace(vector(1), \"1-2\", \"a\", \"\", \"\")",
        at_ms: 0,
        theirs: (422, "invalid destination label name"),
        ours: (200, "\"1-2\":\"a\""),
    },
    Explained {
        why: "names may stand in quotes in 3",
        query: "{\"limit\", job=\"api\"}",
        at_ms: 600_000,
        theirs: (400, "bad_data"),
        ours: (200, "\"job\":\"api\""),
    },
    Explained {
        why: "2.42 does not drop the metric's name after atan2",
        query: "limit{job=\"api\"} atan2 limit",
        at_ms: 600_000,
        theirs: (200, "{\"__name__\":\"limit\",\"job\":\"api\"}"),
        ours: (200, "\"metric\":{\"job\":\"api\"}"),
    },
    Explained {
        why: "a dot of a regular expression matches a line's end in 3",
        query: "label_replace(label_replace(vector(1), \"a\", \"x\\ny\", \"\", \"\"), \"b\", \"dot\", \"a\", \"x.y\")",
        at_ms: 0,
        theirs: (200, "{\"a\":\"x\\ny\"}"),
        ours: (200, "\"b\":\"dot\""),
    },
    Explained {
        why: "holt_winters is double_exponential_smoothing in 3",
        query: "holt_winters(limit[5m], 0.5, 0.5)",
        at_ms: 600_000,
        theirs: (200, "\"job\":\"api\""),
        ours: (400, "unknown function"),
    },
    Explained {
        why: "functions of 3",
        query: "mad_over_time(limit[5m])",
        at_ms: 600_000,
        theirs: (400, "unknown function"),
        ours: (200, "\"job\":\"api\""),
    },
    Explained {
        why: "aggregators of 3",
        query: "limitk(1, limit)",
        at_ms: 600_000,
        theirs: (400, "bad_data"),
        ours: (200, "\"job\":"),
    },
    Explained {
        why: "a range may be a number of seconds in 3",
        query: "count_over_time(limit[60])",
        at_ms: 600_000,
        theirs: (400, "bad_data"),
        ours: (200, "\"job\":\"api\""),
    },
    Explained {
        why: "3 bounds how far a rate reaches before it looks where the counter was zero",
        query: "increase(sparse{end=\"marked\"}[3m])",
        at_ms: 918_250,
        theirs: (200, "4.447728935292944"),
        ours: (200, "4.197728935292944"),
    },
    Explained {
        why: "2.42 looks for many to one only among what a filter leaves",
        query: "temperature < ignoring (room) temperature{room=\"hall\"} - 1000",
        at_ms: 600_000,
        theirs: (200, "\"result\":[]"),
        ours: (422, "many-to-one matching must be explicit"),
    },
    Explained {
        why: "averages are compensated in 3",
        query: "avg_over_time(temperature{room=\"attic\"}[30m])",
        at_ms: 827_250,
        theirs: (200, "e-17"),
        ours: (200, "\"0\""),
    },
    Explained {
        why: "3 annotates what is doubtful",
        query: "rate(temperature[5m])",
        at_ms: 600_000,
        theirs: (200, "}"),
        ours: (
            200,
            "\"infos\":[\"PromQL info: metric might not be a counter",
        ),
    },
];

#[tokio::test]
async fn differences_that_are_explained_are_as_they_are_explained() {
    let Some(both) = Both::start("global: {}\n").await else {
        println!("not run: there is no Prometheus to compare with");
        return;
    };
    for one in ALL {
        let when = When::At(both.data.base_ms + one.at_ms);
        let (path, mut form) = when.request();
        form.push(("query", one.query.to_owned()));
        for (http, (status, text)) in [(&both.theirs.http, one.theirs), (&both.ours.http, one.ours)]
        {
            let reply = asked(http, path, &form).await;
            let is_so = reply.status == status && reply.text.contains(text);
            assert!(
                is_so,
                "{} ({}): wanted {status} {text}, got {} {}",
                one.query, one.why, reply.status, reply.text
            );
        }
        let [theirs, ours] = [
            asked(&both.theirs.http, path, &form).await,
            asked(&both.ours.http, path, &form).await,
        ];
        assert_ne!(
            theirs.text, ours.text,
            "{}: no difference any more",
            one.query
        );
    }
}
