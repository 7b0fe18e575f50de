package agent

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/state"
)

// maxDescription is what GitLab allows for the description of a status.
const maxDescription = 255

// description says in one line what an engineer wants to know of a sync.
func description(sync *state.Sync, owner string) string {
	switch sync.State {
	case state.Waiting:
		return clip("waiting: "+sync.Waiting, maxDescription)
	case state.Pending:
		return sync.Summary
	case state.Running:
		return "rolling out"
	case state.Failed, state.RolledBack:
		return failure(sync, owner)
	case state.Succeeded, state.Superseded:
	}
	return sync.Summary
}

// failure tells the first fault and its remedy. When both do not fit, the place
// is told from the node's folder (the status' name has the node), then the
// middle is cut, so that the beginning of the remedy is still there.
func failure(sync *state.Sync, owner string) string {
	text, hint := sync.Stage+": "+sync.Error, sync.Hint
	if hint != "" {
		hint = " (" + hint + ")"
	}
	if length(text+hint) > maxDescription {
		environment, node, _ := strings.Cut(owner, "/")
		folder := "environments/" + environment + "/"
		shorten := strings.NewReplacer(folder+"nodes/"+node+"/", "", folder, "")
		text, hint = shorten.Replace(text), shorten.Replace(hint)
	}
	text = clip(text, max(maxDescription-length(hint), maxDescription/2))
	return text + clip(hint, maxDescription-length(text))
}

func length(text string) int { return utf8.RuneCountInString(text) }

// clip cuts text to a number of characters; an ellipsis marks the cut.
func clip(text string, limit int) string {
	if length(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s…", strings.TrimRight(string([]rune(text)[:limit-1]), " "))
}
