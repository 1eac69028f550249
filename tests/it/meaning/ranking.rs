//! How words and meaning make one order.

use super::{Registry, search, slugs};

/// Each of the others has a word of the query; the ranking's last step, which orders by use, must not undo the place.
#[tokio::test(flavor = "multi_thread")]
async fn weak_words_leave_a_place_to_the_nearest() {
    let registry = Registry::new().await;
    let mut skills = vec![("harbour".to_owned(), "Reads tide tables".to_owned())];
    for letter in ["a", "b", "c", "d", "e", "f"] {
        skills.push((
            format!("garden-{letter}"),
            "Plans a garden each autumn".to_owned(),
        ));
    }
    let skills: Vec<(&str, &str)> = skills
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    registry.publish(&skills).await;
    let answer = search(&registry.client, "when does the sea level peak in autumn storms").await;
    assert!(slugs(&answer)[0].starts_with("garden-"), "{answer}");
    assert_eq!(slugs(&answer)[1], "harbour", "{answer}");
}
