//! Skills in several languages, and requests for them.

type Skill = (&'static str, &'static str, &'static str);

pub(crate) const GERMAN: [Skill; 5] = [
    (
        "rechnungen-pruefen",
        "Prüft eingehende Rechnungen auf Pflichtangaben, Umsatzsteuer und doppelte Belege.",
        "## Vorgehen\nLies jede Rechnung, vergleiche die Beträge mit der Bestellung und melde Abweichungen.",
    ),
    (
        "besprechung-zusammenfassen",
        "Fasst die Mitschrift einer Besprechung zusammen: Beschlüsse, Aufgaben und offene Fragen.",
        "## Ergebnis\nEine Liste der Aufgaben mit Namen und Terminen, darunter die Beschlüsse.",
    ),
    (
        "stellenanzeige",
        "Schreibt Stellenanzeigen, die niemanden ausschließen und das Gehalt nennen.",
        "## Aufbau\nBeginne mit der Aufgabe, nicht mit der Firma. Vermeide Fachwörter.",
    ),
    (
        "kuendigung-schreiben",
        "Verfasst Kündigungen für Verträge mit Fristen und Versandart.",
        "## Fristen\nRechne vom Vertragsende zurück. Das Schreiben muss per Einschreiben kommen.",
    ),
    (
        "datenschutzerklaerung",
        "Erstellt eine Datenschutzerklärung für Webseiten nach der DSGVO.",
        "## Angaben\nNenne den Verantwortlichen, die Zwecke und die Speicherdauer der Daten.",
    ),
];

pub(crate) const FRENCH: [Skill; 5] = [
    (
        "lettre-de-motivation",
        "Rédige une lettre de motivation adaptée à une offre d'emploi.",
        "## Étapes\nRelève les compétences demandées et montre par un exemple que le candidat les possède.",
    ),
    (
        "traduction-interface",
        "Traduit les textes d'une application en gardant les variables et la longueur des boutons.",
        "## Règles\nNe traduis jamais les noms de variables. Vérifie les pluriels.",
    ),
    (
        "notes-de-frais",
        "Contrôle les notes de frais des salariés et signale les justificatifs manquants.",
        "## Contrôles\nCompare chaque dépense au plafond et cherche les doublons.",
    ),
    (
        "recette-de-cuisine",
        "Propose des recettes avec les ingrédients qui restent au réfrigérateur.",
        "## Méthode\nDemande les allergies, puis donne les quantités pour quatre personnes.",
    ),
    (
        "proces-verbal",
        "Établit le procès-verbal d'une assemblée générale d'association.",
        "## Contenu\nPrésents, quorum, ordre du jour, votes et signatures.",
    ),
];

pub(crate) const SPANISH: [Skill; 5] = [
    (
        "contrato-de-alquiler",
        "Revisa contratos de alquiler y avisa de cláusulas abusivas para el inquilino.",
        "## Pasos\nLee la duración, la fianza y las subidas de la renta.",
    ),
    (
        "plan-de-estudio",
        "Prepara un plan de estudio semanal para exámenes y oposiciones.",
        "## Método\nReparte los temas por dificultad y deja días de repaso.",
    ),
    (
        "respuestas-a-clientes",
        "Escribe respuestas amables a las quejas de los clientes en la tienda en línea.",
        "## Tono\nPide disculpas una vez y ofrece una solución concreta.",
    ),
    (
        "presupuesto-familiar",
        "Organiza los gastos del hogar y propone cuánto ahorrar cada mes.",
        "## Categorías\nVivienda, comida, transporte y ocio.",
    ),
    (
        "itinerario-de-viaje",
        "Diseña itinerarios de viaje por ciudades con horarios de trenes y museos.",
        "## Datos\nPregunta las fechas, el presupuesto y el ritmo del viajero.",
    ),
];

pub(crate) const CHINESE: [Skill; 5] = [
    (
        "hetong-shencha",
        "审查合同条款，指出风险和缺少的内容。",
        "## 步骤\n先看付款方式和违约责任，再看保密条款。",
    ),
    (
        "zhoubao",
        "根据工作记录自动生成周报，突出进度和问题。",
        "## 格式\n本周完成、下周计划、需要帮助。",
    ),
    (
        "zuowen-pigai",
        "批改学生作文，说明错别字和结构上的毛病。",
        "## 要求\n先肯定优点，再给出修改建议。",
    ),
    (
        "shujuku-youhua",
        "分析慢查询并优化数据库索引。",
        "## 方法\n读取执行计划，检查全表扫描。",
    ),
    (
        "fapiao-zhengli",
        "整理电子发票，按月份和供应商归档。",
        "## 输出\n一张汇总表，列出金额和税率。",
    ),
];

pub(crate) const JAPANESE: [Skill; 5] = [
    (
        "gijiroku",
        "会議の録音から議事録を作成し、決定事項と宿題をまとめます。",
        "## 手順\n発言者ごとに整理してから要点を書きます。",
    ),
    (
        "keigo-mail",
        "取引先に送るメールを丁寧な敬語に書き直します。",
        "## 注意\n二重敬語を避けて、件名は短くします。",
    ),
    (
        "test-sakusei",
        "単体テストを自動で作成し、境界値を確認します。",
        "## 方針\n正常系と異常系を分けて書きます。",
    ),
    (
        "ryokou-keikaku",
        "温泉旅行の計画を立て、電車の時刻と宿を提案します。",
        "## 質問\n予算と日数を聞きます。",
    ),
    (
        "kakeibo",
        "レシートの写真から家計簿をつけます。",
        "## 分類\n食費、光熱費、交通費に分けます。",
    ),
];

pub(crate) const KOREAN: [Skill; 5] = [
    (
        "hoeuirok",
        "회의 내용을 요약하여 회의록을 작성합니다.",
        "## 순서\n결정 사항과 담당자를 먼저 정리합니다.",
    ),
    (
        "jagisogaeseo",
        "채용 공고에 맞는 자기소개서를 첨삭합니다.",
        "## 기준\n경험을 구체적인 숫자로 설명합니다.",
    ),
    (
        "beonyeok-geomsu",
        "영어 문서를 한국어로 번역하고 용어를 통일합니다.",
        "## 규칙\n고유 명사는 원문을 함께 적습니다.",
    ),
    (
        "code-geomto",
        "변경된 코드를 검토하고 보안 문제를 찾습니다.",
        "## 항목\n입력값 검증과 권한 확인을 살펴봅니다.",
    ),
    (
        "sikdan",
        "일주일 식단을 짜고 장보기 목록을 만듭니다.",
        "## 질문\n알레르기와 예산을 물어봅니다.",
    ),
];

pub(crate) const ENGLISH: [Skill; 14] = [
    (
        "code-review",
        "Reviews changes for bugs, security and style.",
        "Read the diff first.",
    ),
    (
        "pdf-tables",
        "Extracts tables from PDF files as CSV.",
        "Run the script on each file.",
    ),
    (
        "commit-messages",
        "Writes commit messages from the staged changes.",
        "Look at the diff.",
    ),
    (
        "meeting-notes",
        "Summarises meetings: decisions, tasks, open questions.",
        "List tasks with owners.",
    ),
    (
        "invoice-checker",
        "Checks invoices for missing data and duplicates.",
        "Compare with the order.",
    ),
    (
        "cover-letter",
        "Writes a cover letter for a job advertisement.",
        "Name skills by example.",
    ),
    (
        "travel-planner",
        "Plans trips with trains, hotels and museums.",
        "Ask for dates and budget.",
    ),
    (
        "sql-tuning",
        "Finds slow queries and proposes indexes.",
        "Read the plan.",
    ),
    (
        "unit-tests",
        "Writes unit tests with edge cases.",
        "Separate the success and error paths.",
    ),
    (
        "translate-ui",
        "Translates the texts of an application.",
        "Keep variables as they are.",
    ),
    (
        "recipe-ideas",
        "Proposes recipes from what is left in the fridge.",
        "Ask for allergies.",
    ),
    (
        "privacy-policy",
        "Writes a privacy policy for a web site.",
        "Name the purposes.",
    ),
    (
        "contract-review",
        "Finds risky clauses in contracts.",
        "Check payment and liability.",
    ),
    (
        "household-budget",
        "Sorts the expenses of a household by month.",
        "Ask for the receipts.",
    ),
];

/// A request, and the name of the skill that it is for.
pub(crate) const REQUESTS: [(&str, &str); 30] = [
    (
        "Kannst du diese Rechnung kontrollieren, ob die Steuer stimmt?",
        "rechnungen-pruefen",
    ),
    (
        "Ich brauche ein Protokoll mit den Aufgaben aus unseren Besprechungen",
        "besprechung-zusammenfassen",
    ),
    (
        "wir suchen eine neue Kollegin, hilf mir mit der Anzeige fuer die Stelle",
        "stellenanzeige",
    ),
    ("Vertrag kuendigen", "kuendigung-schreiben"),
    (
        "Welche Angaben zum Datenschutz muss meine Webseite haben",
        "datenschutzerklaerung",
    ),
    (
        "aide-moi à écrire ma lettre pour postuler à un emploi",
        "lettre-de-motivation",
    ),
    (
        "je veux traduire les boutons de mon application",
        "traduction-interface",
    ),
    (
        "verifier les depenses et justificatifs d'un salarie",
        "notes-de-frais",
    ),
    (
        "qu'est-ce que je peux cuisiner avec les restes du frigo, une recette simple",
        "recette-de-cuisine",
    ),
    ("compte rendu des votes de notre assemblée", "proces-verbal"),
    (
        "¿tiene alguna cláusula abusiva mi contrato del piso en alquiler?",
        "contrato-de-alquiler",
    ),
    (
        "necesito organizarme para estudiar los examenes",
        "plan-de-estudio",
    ),
    (
        "un cliente se queja de su pedido, cómo le respondo",
        "respuestas-a-clientes",
    ),
    (
        "quiero ahorrar y controlar los gastos de casa",
        "presupuesto-familiar",
    ),
    (
        "organizar un viaje de tres días con museos",
        "itinerario-de-viaje",
    ),
    ("帮我看看这份合同有没有风险", "hetong-shencha"),
    ("寫一份週報總結這週的進度", "zhoubao"),
    ("孩子的作文有错别字吗", "zuowen-pigai"),
    ("資料庫查詢太慢怎麼優化", "shujuku-youhua"),
    ("發票歸檔", "fapiao-zhengli"),
    ("昨日の会議の議事録をまとめてほしい", "gijiroku"),
    ("敬語でメールを書きたい", "keigo-mail"),
    ("この関数のテストを書いて", "test-sakusei"),
    ("温泉に行きたいので宿を探して", "ryokou-keikaku"),
    ("レシートを整理して家計を管理したい", "kakeibo"),
    ("어제 회의를 요약해 줘", "hoeuirok"),
    ("자기소개서 고쳐 주세요", "jagisogaeseo"),
    ("이 문서를 한국어로 옮겨 번역해 줘", "beonyeok-geomsu"),
    ("코드에 보안 문제가 있는지 봐 줘", "code-geomto"),
    ("다음 주 식단 추천", "sikdan"),
];
