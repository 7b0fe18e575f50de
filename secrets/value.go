package secrets

// Value is a secret in memory. Every way of printing, logging or marshalling it
// gives [redacted]; only Reveal gives the content, and only deploy calls it.
type Value struct {
	content *[]byte
}
