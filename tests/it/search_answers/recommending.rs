//! What `recommend_skills` answers.

use serde_json::{Value, json};

use super::{Found, install};

fn recommended(answer: &Value) -> Vec<&str> {
    let skills = answer["skills"].as_array().unwrap();
    skills
        .iter()
        .map(|skill| skill["skill"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_fit_the_text_and_are_not_installed() {
    let found = Found::new().await;
    for (name, about) in [
        ("tide-tables", "Reads tide tables of harbours."),
        ("harbour-charts", "Draws charts of harbours with depths."),
        ("invoices", "Writes invoices for customers."),
    ] {
        found.publish(name, &format!("description: {about}"), about).await;
    }
    let text = format!(
        "{} We read tide tables of harbours and draw charts of harbours with depths.",
        "Nothing of interest here at all. ".repeat(200)
    );
    let recommend = async |arguments: Value| found.client.ok("recommend_skills", arguments).await;
    let answer = recommend(json!({"text": text})).await;
    let mut skills = recommended(&answer);
    skills.sort_unstable();
    assert_eq!(skills, ["harbour-charts", "tide-tables"], "{answer}");
    assert!(answer["skills"][0]["why"].as_str().unwrap().starts_with("has: "));
    let answer = recommend(json!({"text": text, "installed": ["tide-tables", "unknown"]})).await;
    assert_eq!(recommended(&answer), ["harbour-charts"]);
    found.install("harbour-charts").await;
    assert_eq!(
        recommended(&recommend(json!({"text": text})).await),
        ["tide-tables"]
    );
    // Compared with what is installed.
    assert_eq!(recommended(&recommend(json!({})).await), [""; 0]);
    let answer = recommend(json!({"text": "play the harpsichord"})).await;
    assert_eq!(recommended(&answer), [""; 0]);
    assert!(
        answer["next_step"]
            .as_str()
            .unwrap()
            .contains("Nothing else fits")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_others_installed_together_is_recommended() {
    let found = Found::new().await;
    for name in ["alpha", "beta", "gamma"] {
        found
            .publish(name, &format!("description: About {name}."), name)
            .await;
    }
    let installs = async |user: &str, skills: &[&str]| {
        let client = found.colleague(user).await;
        for skill in skills {
            install(&client, skill).await;
        }
    };
    found.install("alpha").await;
    installs("one@example.com", &["alpha", "beta", "gamma"]).await;
    let answer = found.client.ok("recommend_skills", json!({})).await;
    // What one person installed is not shown.
    assert_eq!(recommended(&answer), [""; 0]);
    installs("two@example.com", &["alpha", "beta"]).await;
    let answer = found.client.ok("recommend_skills", json!({})).await;
    assert_eq!(recommended(&answer), ["beta"], "{answer}");
    assert_eq!(answer["skills"][0]["why"], "2 users of your skills have it");
}
