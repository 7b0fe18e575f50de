package notify_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify"
)

var update = flag.Bool("update", false, "write the golden messages")

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// failed returns a notice of a failed rollout.
func failed() notify.Notice {
	return notify.Notice{
		Event: notify.Failure, Environment: "sandbox", Node: "node3", Stack: "sbxapp3", Release: "2026-03-14-0123456789",
		Commit: "0123456789abcdef0123456789abcdef01234567", Ref: "master", Author: "Ada Lovelace", Subject: "Raise the pool",
		Link:  "https://gitlab.example.com/coin/coin-gitops/-/commit/0123456789abcdef0123456789abcdef01234567",
		Title: "rollout failed at verify",
		Details: []notify.Detail{
			{Text: "service sbxapp3_web: task failed: exit code 1", Hint: "see `docker service logs sbxapp3_web`"},
			{Text: "service sbxapp3_api: no such image app:2"},
		},
		Next: "the revision is held; a new commit, or `agent sync` on the node, tries again",
		Time: noon,
	}
}

func with(change func(*notify.Notice)) notify.Notice {
	n := failed()
	change(&n)
	return n
}

func TestMessages(t *testing.T) {
	many := func(n *notify.Notice) {
		for i := range 20 {
			n.Details = append(n.Details, notify.Detail{Text: fmt.Sprintf("fault %d %s", i, strings.Repeat("long ", 400))})
		}
	}
	for name, notices := range map[string][]notify.Notice{
		"failure":  {failed()},
		"recovery": {with(func(n *notify.Notice) { n.Event, n.Title, n.Details, n.Next = notify.Recovery, "rolled out", nil, "" })},
		"drift": {{
			Event: notify.Drift, Environment: "sandbox", Node: "node3", Title: "the live services differ from what was applied",
			Details: []notify.Detail{{Text: "service s_web: env BY_HAND"}}, Time: noon,
		}},
		"hostile": {with(func(n *notify.Notice) {
			n.Subject = "fix\r\nBcc: all@example.com\n\n<!channel> @here <https://evil.example|click> *bold* & \u2028more"
			n.Author, n.Title = "Eve <eve@example.com>\nX: y", "rollout failed at\r\nBcc: all@example.com"
		})},
		"cyrillic": {with(func(n *notify.Notice) {
			n.Title, n.Subject = "сбой выката "+strings.Repeat("ж", 200), "Исправить пул"
		})},
		"long": {with(many)},
		"summary": {
			with(func(n *notify.Notice) { n.Title = "rollout failed at load" }),
			with(func(n *notify.Notice) { n.Title, n.Time = "rollout failed at plan", noon.Add(time.Minute) }),
			with(func(n *notify.Notice) { n.Time = noon.Add(time.Hour) }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			title, text, slack := notify.Composed(notices)
			got := "--- title\n" + title + "\n--- text\n" + text + "--- slack\n" + slack
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBounds checks that the longest message is within the limits of receivers.
func TestBounds(t *testing.T) {
	var notices []notify.Notice
	for range 100 {
		notices = append(notices, with(func(n *notify.Notice) {
			n.Release, n.Subject = strings.Repeat("r", 5000), strings.Repeat("s", 5000)
			for range 100 {
				n.Details = append(n.Details, notify.Detail{Text: strings.Repeat("t", 5000), Hint: strings.Repeat("h", 5000)})
			}
		}))
	}
	title, text, slack := notify.Composed(notices)
	if len(title) > 200 || len(text) > 30000 || len(slack) > 30000 {
		t.Errorf("a title of %d, a text of %d, a message to Slack of %d", len(title), len(text), len(slack))
	}
}
