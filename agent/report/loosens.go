package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/record"
)

// mostLoosened is how many of the gates that a commit loosens are named in one line.
const mostLoosened = 4

// Loosens says which gates the commit of a sync loosens; "" for none. A commit status has room
// for some of them; the record has all.
func Loosens(sync *record.Sync) string {
	texts := sync.Loosens
	if len(texts) == 0 {
		return ""
	}
	if more := len(texts) - mostLoosened; more > 0 {
		texts = append(texts[:mostLoosened:mostLoosened], fmt.Sprintf("and loosens %d more", more))
	}
	return "this commit " + strings.Join(texts, ", ")
}
