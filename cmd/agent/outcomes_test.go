package main

import (
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify/smtptest"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// bounded is how long a rollout that fails may take, its way back included: on a busy
// machine, twice the time that config.yml gives services.
const bounded = 200 * time.Second

// outcome is what a release with some trouble ends in.
type outcome struct {
	trouble  trouble
	services []string // that it changes, besides the cron service, which has a new secret
	says     string   // in the error
	failed   string   // the service over which it fails; "" for none
	back     bool     // Swarm itself puts the service back
}

var outcomes = []outcome{
	{trouble: badImage, services: []string{"web"}, says: "No such image", failed: "web"},
	{trouble: crashLoop, services: []string{"web", "worker"}, says: "non-zero exit (3)", failed: "worker"},
	{trouble: unhealthy, services: []string{"web"}, says: "unhealthy container", failed: "web"},
	{trouble: badAnswer, services: []string{"web"}, says: "check answer (GET "},
	{trouble: badMigrate, services: []string{"migrate", "web"}, says: "exit", failed: "migrate"},
	{trouble: swarmBack, services: []string{"web"}, says: "Swarm rolled the update back", failed: "web", back: true},
}

// receivers is where people hear of rollouts in a test.
type receivers struct {
	hook *webhook
	mail *smtptest.Server
}

// TestOutcomes breaks a release in each way that releases break, once where a person
// is to decide and once where the agent goes back by itself, and looks at all that is
// left: tasks, secrets, statuses, history, report, notices.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, o := range outcomes {
		t.Run(strings.ReplaceAll(string(o.trouble), " ", "_"), func(t *testing.T) {
			t.Parallel()
			a := newApplication(t, swarmtest.Engine(t))
			people := a.tellsPeople()
			first := firstRelease(false, false)
			a.running(a.release("First", first))
			stays := a.broken(o, first)
			a.stays(o, first, stays, people)
			mended := stays.next()
			mended.automatic = true
			a.await(a.release("Mend it", mended), state.Succeeded)
			a.goesBack(o, mended, people)
			if o.trouble == badImage { // and from there once more
				mended.number++
				a.goesBack(o, mended, people)
			}
		})
	}
}

// tellsPeople sets receivers of notices up.
func (a *application) tellsPeople() receivers {
	a.t.Helper()
	people := receivers{newWebhook(a.t), smtptest.New(a.t, smtptest.Options{User: "agent", Password: "of-the-mail"})}
	a.settings["smtp_address"], a.settings["smtp_from"], a.settings["smtp_user"] = people.mail.Addr, "agent@example.com", "agent"
	a.settings["smtp_password_file"], a.settings["ca_file"] = a.file("smtp.password", "of-the-mail\n"), people.mail.CAFile
	a.more = "notifications:\n  slack: {channel: \"#ops\", webhook_url_variable: SLACK_WEBHOOK}\n  email: [ops@example.com]\n"
	a.secretsToo = map[string]string{"SLACK_WEBHOOK": people.hook.URL + people.hook.path}
	return people
}

// broken is the next release, with its trouble and a new version of the secret.
func (a *application) broken(o outcome, r release) release {
	n := r.next()
	n.trouble, n.secret = o.trouble, n.number
	for _, name := range append(slices.Clone(o.services), "cron_service") {
		n.versions[name] = n.number
	}
	return n
}

// ends commits a release and waits for its end in bounded time.
func (a *application) ends(message string, r release, want state.Outcome) (commit string, sync *state.Sync) {
	a.t.Helper()
	began := time.Now()
	commit = a.release(message, r)
	sync = a.await(commit, want).Sync
	if took := time.Since(began); took > bounded {
		a.t.Errorf("%s took %s", message, took)
	}
	return commit, sync
}

// like demands that services are as a release has them.
func (a *application) like(r release, names ...string) {
	a.t.Helper()
	live, err := a.live()
	if err != nil {
		a.t.Fatal(err)
	}
	for _, name := range names {
		if unlike := a.unlike(live, name, r); len(unlike) > 0 {
			a.t.Errorf("not as in release %d: %s", r.number, strings.Join(unlike, "; "))
		}
	}
}

// stays breaks the node where a person is to decide: what failed stays, is held, and
// everybody hears of it.
func (a *application) stays(o outcome, good, bad release, people receivers) {
	a.t.Helper()
	before := a.versions()
	commit, sync := a.ends("Break it", bad, state.Failed)
	if !strings.Contains(sync.Error, o.says) || !strings.Contains(sync.Error, o.failed) || sync.Hint == "" || sync.Rollback != nil || sync.Retry {
		a.t.Errorf("%q (%s), rollback %+v", sync.Error, sync.Hint, sync.Rollback)
	}
	if !strings.Contains(sync.Hint, "agent rollback") {
		a.t.Errorf("the hint does not say how to go back: %s", sync.Hint)
	}
	for _, name := range append(slices.Clone(o.services), "cron_service") {
		switch {
		case o.back && name == o.failed, o.trouble == badMigrate && name != "migrate":
			a.like(good, name) // Swarm put it back, or its wave never came
		default:
			a.like(bad, name)
		}
	}
	a.untouched(o, before)
	a.tasksRun("cron_service", "worker", o)
	if want := []string{a.stack + "_key.1", a.stack + "_key.2"}; !cmp.Equal(want, a.secrets()) {
		a.t.Errorf("secrets: %v", a.secrets())
	}
	a.told(people, commit, "sandbox/node3: rollout failed at ", o.says)
	a.recorded(commit, state.Failed, o.says)
	a.mustRun(exitError, []string{"agent: hint: "}, "show", "latest", "-o", "report") // there was no rollback
}

// untouched demands that the services that a release does not change were not written.
func (a *application) untouched(o outcome, before map[string]uint64) {
	a.t.Helper()
	for _, name := range changed(before, a.versions()) {
		if !slices.Contains(o.services, name) && name != "cron_service" {
			a.t.Errorf("%s was written", name)
		}
	}
}

// tasksRun demands that services that have no trouble run.
func (a *application) tasksRun(first, second string, o outcome) {
	a.t.Helper()
	for _, name := range []string{first, second} {
		if name == o.failed {
			continue
		}
		waitfor.NoError(a.t, patience, func() error {
			live, err := a.live()
			if err != nil {
				return err
			}
			if not := notRunning(name, live[name], 1); len(not) > 0 {
				return errors.New(strings.Join(not, "; "))
			}
			return nil
		})
	}
}

// goesBack breaks the node where the agent goes back by itself.
func (a *application) goesBack(o outcome, good release, people receivers) {
	a.t.Helper()
	before, proven := a.versions(), a.newest()
	bad := a.broken(o, good)
	commit, sync := a.ends("Break it again", bad, state.RolledBack)
	taken := sync.Rollback
	if taken == nil || !taken.Auto || taken.To != proven.ID || taken.Error != "" || taken.Refused != "" || taken.Finished.IsZero() {
		a.t.Fatalf("rolled back: %+v, want to #%d", taken, proven.ID)
	}
	if !strings.Contains(sync.Error, o.says) {
		a.t.Errorf("the error is %q", sync.Error)
	}
	a.like(good, "web", "worker", "cron_service")
	a.untouched(o, before)
	live, err := a.live()
	if err != nil {
		a.t.Fatal(err)
	}
	for _, name := range []string{"web", "worker", "cron_service"} {
		if not := notRunning(name, live[name], good.tasks(name)); len(not) > 0 {
			a.t.Error(not)
		}
	}
	for _, version := range []int{good.secret, bad.secret} {
		if name := fmt.Sprintf("%s_key.%d", a.stack, version); !slices.Contains(a.secrets(), name) {
			a.t.Errorf("no secret %s among %v", name, a.secrets())
		}
	}
	if text := a.described(commit); !strings.Contains(text, "rolled back to") {
		a.t.Errorf("GitLab shows %q", text)
	}
	a.told(people, commit, "rolled back", o.says)
	a.recorded(commit, state.RolledBack, o.says)
	report := a.mustRun(exitDone, nil, "show", "latest", "-o", "report")
	for _, section := range []string{"Incident Summary", "Versions", "Rollback Actions", "Verification", "Impact", "Root Cause", "Next Steps", "Timeline"} {
		if !strings.Contains(report, "\n## "+section+"\n") {
			a.t.Errorf("the report has no section %s:\n%s", section, report)
		}
	}
	if !strings.Contains(report, o.says) || !strings.Contains(report, fmt.Sprintf("proven by sync #%d", proven.ID)) {
		a.t.Errorf("the report lacks what failed or where it went:\n%s", report)
	}
}

// newest is the sync that the history calls good last.
func (a *application) newest() state.Sync {
	a.t.Helper()
	history := decode[[]state.Sync](a.t, a.mustRun(exitDone, nil, "history", "-o", "json"))
	i := slices.IndexFunc(history, func(s state.Sync) bool { return s.State == state.Succeeded || s.State == state.RolledBack })
	if i < 0 {
		a.t.Fatalf("nothing good in %+v", history)
	}
	return history[i]
}

// told waits until both receivers have heard of a commit's failure, with its reason.
func (a *application) told(people receivers, commit, title, says string) {
	a.t.Helper()
	waitfor.NoError(a.t, patience, func() error {
		texts, _ := people.hook.seen()
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, title) }) {
			return fmt.Errorf("the chat has %q", texts)
		}
		for _, message := range people.mail.Messages() {
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
func (a *application) recorded(commit string, want state.Outcome, says string) {
	a.t.Helper()
	if diff := cmp.Diff([]string{"pending", "running", "failed"}, a.posts(commit, "failed")); diff != "" {
		a.t.Errorf("posts: %s", diff)
	}
	history := decode[[]state.Sync](a.t, a.mustRun(exitDone, []string{string(want)}, "history", "-o", "json"))
	if history[0].Commit != commit || history[0].State != want {
		a.t.Errorf("the history begins with %s, %s", short(history[0].Commit), history[0].State)
	}
	a.mustRun(exitDifferent, []string{says}, "status")
	a.mustRun(exitDone, []string{says, short(commit)}, "show", "latest")
	manifest := decode[struct {
		Commit  string `json:"git_commit"`
		Outcome string `json:"outcome"`
	}](a.t, a.mustRun(exitDone, nil, "show", "latest", "-o", "manifest"))
	if manifest.Commit != commit || manifest.Outcome != string(want) {
		a.t.Errorf("the manifest says %+v", manifest)
	}
	a.mustRun(exitDone, []string{"whole: "}, "audit", "verify")
}
