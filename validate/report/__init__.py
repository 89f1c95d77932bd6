"""One result, many forms: terminal, JSON, JUnit, Markdown, HTML, model card."""
