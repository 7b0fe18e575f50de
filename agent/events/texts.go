package events

import "strings"

// together is how many bytes of texts are allocated at once.
const together = 16 << 10

// texts holds the texts of events side by side. Texts that stay for hours where they were made would
// each keep a page of memory that the work around them has left.
type texts struct{ current strings.Builder }

// keep gives a copy of a text.
func (t *texts) keep(text string) string {
	if t.current.Cap()-t.current.Len() < len(text) {
		t.current = strings.Builder{}
		t.current.Grow(max(together, len(text)))
	}
	from := t.current.Len()
	t.current.WriteString(text)
	return t.current.String()[from:]
}
