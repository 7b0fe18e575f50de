package deploy

import (
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Names that only tests need.
var (
	ServiceChanges = serviceChanges
	Masked         = masked
	MaskedList     = maskedList
	ShownValue     = shownValue
	NetworkChanges = networkChanges
	Withhold       = withhold
	Settle         = settle
)

// Ignorables lists the fields that drift_ignore can name.
func Ignorables() []string {
	var names []string
	for _, field := range ignorables() {
		names = append(names, field.name)
	}
	return names
}

// NewJudge gives the judge of one wait, with a clock of the test.
func NewJudge(opts VerifyOptions, now func() time.Time) func(LiveServices, map[string][]swarm.Task, *compose.Stack) (Result, time.Duration) {
	m := newMemory(opts)
	m.now = now
	return m.judge
}

// ShownLines gives the lines that are shown of what a task prints.
func ShownLines(masks *Masks, text string) (lines []string) {
	w := &lineWriter{masks: masks, each: func(line LogLine) { lines = append(lines, line.Text) }}
	for part := range strings.SplitAfterSeq(text, "o") { // as it may arrive
		_, _ = w.Write([]byte(part))
	}
	w.end()
	return lines
}
