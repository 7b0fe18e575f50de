package prepare

import (
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/proposal"
)

// shownConflict is how many lines of the conflicts an error shows.
const shownConflict = 40

// version is a content with the name that it has in a conflict.
type version struct {
	name    string
	content []byte
}

// merge joins the changes of two versions since a third. A conflict is a fault with both sides.
func merge(file string, ours, base, theirs version) ([]byte, error) {
	merged, conflicts := proposal.Merge(string(base.content), string(ours.content), string(theirs.content))
	if len(conflicts) == 0 {
		return []byte(merged), nil
	}
	var shown []string
	for _, one := range conflicts {
		for _, side := range []struct{ mark, text string }{
			{"<<<<<<< " + ours.name, one.Ours}, {"||||||| " + base.name, one.Base}, {"======= " + theirs.name, one.Theirs},
		} {
			shown = append(shown, side.mark)
			for line := range strings.Lines(side.text) {
				shown = append(shown, visible.Line(strings.TrimRight(line, "\r\n")))
			}
		}
	}
	if len(shown) > shownConflict {
		shown = append(shown[:shownConflict], "…")
	}
	return nil, fault.New(fault.Place{File: file, Line: conflicts[0].Line}, "make your change fit the release, commit it, and run the command again",
		"the release and the node both change the same lines (%s):\n%s", plural.Count(len(conflicts), "conflict"), strings.Join(shown, "\n"))
}
