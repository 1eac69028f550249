//! Words that are common in a language and do not describe a topic.

use crate::language::Language;

/// Words that occur in nearly every English request and skill. They are not indexed. Sorted.
pub(crate) const ENGLISH: &[&str] = &[
    "a", "about", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been", "between", "both",
    "but", "by", "can", "could", "did", "do", "does", "don", "during", "each", "every", "few", "for", "from",
    "had", "has", "have", "he", "her", "here", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "just", "may", "me", "might", "more", "most", "must", "my", "no", "not", "of", "on", "once", "only",
    "or", "other", "our", "out", "over", "own", "please", "same", "she", "should", "so", "some", "such",
    "than", "that", "the", "their", "then", "there", "these", "they", "this", "those", "through", "to",
    "too", "under", "up", "very", "was", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "without", "would", "you", "your",
];

/// Words that say what is asked for rather than about which topic, as in "explain", "two" or "concise". In sentences, they
/// count less: measured on requests for real skills, their idf overstates what they tell by 0.6 and more. Separated by
/// spaces.
pub(crate) const REQUEST: &str = "against approach approval ask assess assumption basic boundary brief choice choose clear compare \
     concern concise confirmation correct cover describe difference expected explain final five focused \
     get give guidance help highlight identify important improve include item keep let like likely main \
     make need outline paste point prepare preserve prioritise prioritize produce propose provide rank \
     readiness recommend relevant result rewrite safe safer safest separate several short show simple \
     state step suggest suitable summarise summarize tell thing three tradeoff turn two use want way \
     weak whether while";

/// The most common words of other languages, folded, separated by spaces, without words that English texts contain.
/// They tell the language of a text. They are indexed, because they are words of another kind in another language.
pub(crate) const FOREIGN: &[(Language, &str)] = &[
    (
        Language::German,
        "der das und ist nicht ein eine einen einem einer eines den dem ich du er sie wir ihr \
         mein meine meinen meinem meiner mir mich zu zum zur mit von vom fur auf aus bei nach uber \
         unter wenn wie wo wer kann konnen soll sollen muss mochte mochten wird werden wurde haben \
         habe sind sein auch oder aber als nur noch schon sehr diese dieser dieses diesen im ins beim \
         durch ohne gegen bis um dass weil damit keine kein keinen alle bitte hilf brauche unsere \
         unser unseren welche welcher gibt es vor",
    ),
    (
        Language::French,
        "le la les un une du de est dans avec que qui quoi ou je il elle nous vous ils elles mon \
         mes ta tes ses notre nos votre vos leur leurs ce cet cette ces moins sont etre avoir avons \
         avez ont fait faire peux peut pouvez veux veut voudrais dois doit faut comment quand \
         pourquoi aussi tres bien toute tous toutes en au aux mais donc lors chaque entre apres avant",
    ),
    (
        Language::Spanish,
        "el la los las un una unos unas de del que en es por para sobre le les mis tus su sus \
         nuestro nuestra nuestros nuestras yo ella ellos ellas nosotros este esta estos estas ese esa \
         esos cuando donde porque pero mas muy ya tambien ser estar tener hacer puedo puede \
         quiero quiere necesito necesita debo tengo tiene fue cada entre desde hasta toda todos \
         todas otra otro",
    ),
    (
        Language::Portuguese,
        "os um uma uns umas de das em nos nas ao aos pelo pela que por para sem sobre eu ele \
         ela eles elas voce meu minha meus minhas seu sua seus suas nosso nossa este esta esse essa \
         isso quando onde porque mas mais muito ja tambem ser estar ter fazer posso pode quero quer \
         preciso precisa devo tenho tem sao foi nao cada entre desde ate toda todos todas",
    ),
    (
        Language::Italian,
        "il la gli le un uno una di del della dei delle degli alla alle dal dalla nel nella nei \
         su sul sulla tra fra che chi cui ed anche quando dove perche mio mia miei mie tuo sua \
         suo suoi nostro nostra io lui lei noi voi loro questo questa questi queste piu molto \
         sono essere avere hai abbiamo posso puo voglio vorrei devo ogni dopo tutto tutti",
    ),
    (
        Language::Dutch,
        "de het een en ik je jij hij zij ze wij jullie mijn jouw zijn haar ons onze dit dat deze \
         niet geen wel met voor naar uit bij onder tussen door zonder om aan als dan maar ook hoe \
         waar wanneer waarom wie welke wil willen kan kunnen moet moeten heb heeft hebben wordt \
         worden werd nog veel meer alle",
    ),
    (
        Language::Danish,
        "jeg du han hun vi de det den en og er ikke til af fra med som pa om ved efter hvordan hvor \
         hvornar hvad hvem hvilke min mit dit dine vores deres kan skal vil har havde blev bliver \
         vaere eller ogsa alle denne dette disse ud hver uden mellem",
    ),
    (
        Language::Norwegian,
        "jeg du han hun vi de det den en og er ikke til av fra med som pa om ved etter hvordan hvor \
         nar hva hvem hvilke min mitt ditt dine deres kan skal vil har hadde ble blir vaere eller \
         ogsa alle denne dette disse ut opp hver uten mellom",
    ),
    (
        Language::Swedish,
        "jag du han hon vi de det den en ett och ar inte till av fran med som pa om vid efter hur nar \
         vad vem vilka min mitt mina ditt dina deras kan ska skall vill har hade blev blir vara eller \
         ocksa alla denna detta dessa ut upp varje utan mellan",
    ),
    (
        Language::Finnish,
        "ja ei etta oli olen ole han mina sina mutta tai kun kuin niin myos vain jos jotta koska \
         miten missa milloin mika kuka minun sinun hanen tama tassa nama joka jotka voi voin haluan \
         pitaa ovat ollut kanssa ilman ennen jalkeen kaikki",
    ),
    (
        Language::Hungarian,
        "az egy es nem hogy volt meg csak de mint ez azt ezt en ti vagy el fel le mar nagyon \
         minden hogyan hol mikor miert melyik szeretnek kell lehet tud vagyok nekem nalam kozott utan \
         elott nelkul lesz legyen",
    ),
    (
        Language::Romanian,
        "un de la cu pe pentru este sunt care ce cum cand unde eu el ea noi voi ei mea meu mele mei \
         acest aceasta acesti aceste dar sau mai foarte fara dupa prin intre vreau trebuie poate fi \
         fost au toate tot fiecare",
    ),
    (
        Language::Turkish,
        "ve bir bu icin ile de cok ben sen biz siz onlar benim senin bizim nasil nerede neden hangi \
         ama veya gibi daha en olarak olan yok istiyorum gerekiyor degil kadar sonra tum",
    ),
];
