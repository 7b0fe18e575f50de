package main

import (
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify/smtptest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/waitfor"
)

// receivers is where people hear of rollouts in a test.
type receivers struct {
	hook *slackHook
	mail *smtptest.Server
}

func newReceivers(t *testing.T) receivers {
	t.Helper()
	return receivers{newWebhook(t), smtptest.New(t, smtptest.Options{User: "agent", Password: "of-the-mail"})}
}

// tells sets the agent up to tell people.
func (l *lab) tells(people receivers) {
	l.t.Helper()
	l.settings["smtp_address"], l.settings["smtp_from"], l.settings["smtp_user"] = people.mail.Addr, "agent@example.com", "agent"
	l.settings["smtp_password_file"], l.settings["ca_file"] = l.file("smtp.password", "of-the-mail\n"), people.mail.CAFile
	l.mappings = hooksHere
}

// run waits until each service has the tasks that it is to have, except for one.
func (p *payments) run(except string) {
	p.t.Helper()
	waitfor.NoError(p.t, patience, func() error {
		var lacking []error
		for name, good := range p.good {
			want := *good.Mode.Replicated.Replicas
			if name == except || name == "migrate" {
				continue
			}
			var running uint64
			for _, task := range p.swarm.Tasks(p.t, p.stack.Name+"_"+name) {
				if task.DesiredState == swarm.TaskStateRunning && task.Status.State == swarm.TaskStateRunning {
					running++
				}
			}
			if running != want {
				lacking = append(lacking, fmt.Errorf("%s: %d of %d tasks run", name, running, want))
			}
		}
		return errors.Join(lacking...)
	})
}

// told waits until both receivers have heard of a commit's failure, with its reason.
func (p *payments) told(commit, title, says string) {
	p.t.Helper()
	waitfor.NoError(p.t, patience, func() error {
		texts, _ := p.people.hook.seen()
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, title) }) {
			return fmt.Errorf("the chat has %q", texts)
		}
		for _, message := range p.people.mail.Messages() {
			body, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(message.Body)))
			if err != nil {
				return err
			}
			subject := message.Header.Get("Subject")
			if strings.Contains(subject, title) && strings.Contains(string(body), commit) && strings.Contains(trimmed(string(body)), says) {
				return nil
			}
		}
		return fmt.Errorf("no mail says %q of %s: %q", title, short(commit), says)
	})
}

// trimmed is a text on one line.
func trimmed(text string) string { return strings.Join(strings.Fields(text), " ") }

// recorded demands that GitLab, history and audit log agree on how a commit ended.
func (l *lab) recorded(commit string, want record.State, says string) {
	l.t.Helper()
	if diff := cmp.Diff([]string{"pending", "running", "failed"}, l.posts(commit, "failed")); diff != "" {
		l.t.Errorf("posts: %s", diff)
	}
	history := decode[[]record.Sync](l.t, l.mustRun(exitDone, []string{string(want)}, "history", "-o", "json"))
	if history[0].Commit != commit || history[0].State != want {
		l.t.Errorf("the history begins with %s, %s", short(history[0].Commit), history[0].State)
	}
	l.mustRun(exitDifferent, []string{says}, "status")
	l.mustRun(exitDone, []string{says, short(commit)}, "show", "latest")
	manifest := decode[struct {
		Commit  string `json:"git_commit"`
		Outcome string `json:"outcome"`
	}](l.t, l.mustRun(exitDone, nil, "show", "latest", "-o", "manifest"))
	if manifest.Commit != commit || manifest.Outcome != string(want) {
		l.t.Errorf("the manifest says %+v", manifest)
	}
	l.mustRun(exitDone, []string{"whole: "}, "audit", "verify")
}

// reported demands a report of the rollback with the seed's sections.
func (l *lab) reported(o outcome, to uint64) {
	l.t.Helper()
	report := l.mustRun(exitDone, nil, "show", "latest", "-o", "report")
	for _, section := range []string{"Incident Summary", "Versions", "Rollback Actions", "Verification", "Impact", "Root Cause", "Next Steps", "Timeline"} {
		if !strings.Contains(report, "\n## "+section+"\n") {
			l.t.Errorf("the report has no section %s:\n%s", section, report)
		}
	}
	if !strings.Contains(report, o.says) || !strings.Contains(report, fmt.Sprintf(`verified by sync \#%d`, to)) {
		l.t.Errorf("the report lacks what failed or where it went:\n%s", report)
	}
}
