package report

import (
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/record"
)

// The beginnings of the description of a sync that waits. The names of the gates follow in
// brackets.
const (
	waits        = "waiting"
	waitsForUser = "waiting for a user"
)

// waitingAt names the gates that a sync waits at. Those that a user has to open are named
// alone, where there are any.
func waitingAt(sync *record.Sync) string {
	var users, others []string
	for _, gate := range sync.Gates {
		switch {
		case gate.Waiting == "":
		case gate.Unattended:
			others = append(others, string(gate.Name))
		default:
			users = append(users, string(gate.Name))
		}
	}
	switch {
	case len(users) > 0:
		return waitsForUser + " (" + strings.Join(users, ", ") + ")"
	case len(others) > 0:
		return waits + " (" + strings.Join(others, ", ") + ")"
	}
	return waits
}

// Wait is what the description of a commit status says of a sync that waits.
type Wait struct {
	Gates []record.GateName
	User  bool   // a user has decided that it waits, or has to open a gate
	Text  string // what it waits for
}

// ParseWait reads the description of a pending commit status, and reports whether its sync
// waits at a gate. A pause and a freeze are decisions of users, also where they end by
// themselves. A description of an older agent has no names of gates.
func ParseWait(description string) (Wait, bool) {
	rest, user := strings.CutPrefix(description, waitsForUser)
	if !user {
		var waiting bool
		if rest, waiting = strings.CutPrefix(description, waits); !waiting {
			return Wait{}, false
		}
	}
	if text, old := strings.CutPrefix(rest, ": "); old {
		return Wait{User: user, Text: text}, true
	}
	names, text, whole := strings.Cut(strings.TrimPrefix(rest, " ("), "): ")
	if !whole || !strings.HasPrefix(rest, " (") {
		return Wait{}, false
	}
	wait := Wait{User: user, Text: text}
	for name := range strings.SplitSeq(names, ", ") {
		wait.Gates = append(wait.Gates, record.GateName(name))
	}
	decided := func(name record.GateName) bool { return name == record.GatePause || name == record.GateFreeze }
	wait.User = user || slices.ContainsFunc(wait.Gates, decided)
	return wait, true
}
