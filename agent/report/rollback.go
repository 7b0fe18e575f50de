package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// Rollback gives the report of a rollback, or of its refusal, in Markdown. Its sections are
// those of the report that engineers wrote before the agent.
func Rollback(node Node, sync *record.Sync) (string, error) {
	if sync.Rollback == nil {
		return "", fault.New(fault.Place{}, fmt.Sprintf("`agent show %d` shows what it did; `agent history` marks the syncs with a rollback", sync.ID),
			"sync #%d has no rollback", sync.ID)
	}
	read, err := recordOf(sync)
	if err != nil {
		return "", err
	}
	r := &rollbackReport{node: node, sync: sync, back: sync.Rollback, read: read}
	r.out.heading(1, fmt.Sprintf("Rollback report: %s/%s, sync #%d", node.Environment, node.Name, sync.ID))
	for _, section := range []struct {
		title string
		write func()
	}{
		{"Incident Summary", r.summary},
		{"Versions", r.versions},
		{"Rollback Actions", r.actions},
		{"Verification", r.verification},
		{"Impact", r.impact},
		{"Root Cause", r.cause},
		{"Next Steps", r.next},
		{"Timeline", r.timeline},
	} {
		r.out.heading(2, section.title)
		section.write()
	}
	return strings.TrimRight(r.out.String(), "\n") + "\n", nil
}

// rollbackReport writes a rollback report.
type rollbackReport struct {
	out  markdown
	node Node
	sync *record.Sync
	back *record.Rollback
	read *contents
}

// Outcome gives the result of a rollback in a few words.
func Outcome(back *record.Rollback) string {
	switch {
	case back.Refused != "":
		return "refused: nothing was changed"
	case back.Finished.IsZero():
		return "running"
	case back.Error != "" && back.Wrote:
		return "failed: " + back.Error
	case back.Error != "":
		return "failed before the first write: " + back.Error
	}
	return "succeeded"
}

// succeeded reports whether the good state was applied and verified.
func succeeded(back *record.Rollback) bool {
	return back.Refused == "" && back.Error == "" && !back.Finished.IsZero()
}

func short(commit string) string { return commit[:min(len(commit), 10)] }

// goodState names the good state of a rollback.
func goodState(back *record.Rollback) string {
	if back.To == 0 {
		return "none is recorded"
	}
	text := fmt.Sprintf("commit %s, verified by sync #%d", short(back.Commit), back.To)
	if back.Release != "" {
		text = "release " + back.Release + ", " + text
	}
	return text
}

func (r *rollbackReport) summary() {
	r.out.item("Environment", fmt.Sprintf("%s, node %s, stack %s", r.node.Environment, r.node.Name, r.sync.Stack))
	r.out.item("Date", stamp(r.back.Started))
	r.out.item("Rollback", Outcome(r.back))
	if r.back.Auto {
		r.out.item("Started by", "the agent (`deployment.rollback.automatic`)")
	} else {
		r.out.item("Started by", r.sync.Actor.String())
	}
	r.out.item("Reason", r.back.Reason)
	r.out.item("Release by", fmt.Sprintf("%s (%q)", r.sync.Author, r.sync.Subject))
	if r.sync.Deployment != nil {
		r.out.item("Pipeline", r.sync.Deployment.PipelineID)
		r.out.item("Task", r.sync.Deployment.TaskID)
	}
	if r.sync.Error != "" {
		r.out.item("Failed at", string(r.sync.FailedAt())+": "+r.sync.Error)
	}
}

func (r *rollbackReport) versions() {
	failed := fmt.Sprintf("commit %s of %s", short(r.sync.Commit), r.sync.Ref)
	if r.sync.Release != "" {
		failed = "release " + r.sync.Release + ", " + failed
	}
	name := "Failed version"
	if !r.back.Auto {
		name = "Version before the rollback"
	}
	r.out.item(name, failed)
	name = "Rolled back to"
	if !succeeded(r.back) {
		name = "Last good version"
	}
	r.out.item(name, goodState(r.back))
	if r.sync.Deployment == nil || !r.back.Auto {
		return
	}
	var rows [][]string
	for _, image := range r.sync.Deployment.Services {
		if image.Before != "" {
			rows = append(rows, []string{image.Service, image.Image, image.Before})
		}
	}
	r.out.table([]string{"Service", "Image of the failed version", "Image before it"}, rows)
}

func (r *rollbackReport) actions() {
	if len(r.back.Services) > 0 {
		r.out.item("Scope", "only these services: "+strings.Join(r.back.Services, ", "))
	}
	switch {
	case r.back.Refused != "":
		r.out.line("None. The rollback was refused: " + r.back.Refused)
		return
	case !r.back.Wrote:
		r.out.line("None: nothing was written.")
		return
	}
	r.out.item("Result", r.back.Summary)
	r.out.item("Jobs that were not run again", strings.Join(r.back.Left, ", "))
	for _, warning := range r.back.Warnings {
		r.out.item("Warning", warning)
	}
	if r.read.backPlan != nil {
		lines := make([]string, 0, len(r.read.backPlan.Steps))
		for _, line := range PlanLines(*r.read.backPlan) {
			lines = append(lines, line.Text)
		}
		r.out.code(lines)
	}
}

func (r *rollbackReport) verification() {
	switch {
	case !r.back.Wrote && !succeeded(r.back):
		r.out.line("None: nothing was rolled back.")
		return
	case len(r.read.restored) == 0:
		r.out.line("The services were not verified.")
	default:
		r.listServices(r.read.restored)
	}
	r.listChecks(r.read.asked)
	if r.back.Error != "" {
		r.out.gap()
		r.out.item("Failed", r.back.Error)
		r.out.item("Hint", r.back.Hint)
	}
}

// listServices gives the number of healthy services, and lists the others.
func (r *rollbackReport) listServices(results []deploy.ServiceResult) {
	healthy := 0
	var rows [][]string
	for _, result := range results {
		if result.State == deploy.Converged {
			healthy++
			continue
		}
		rows = append(rows, []string{result.Name, fmt.Sprintf("%d/%d", result.Ready, result.Want), string(result.State), Message(result)})
	}
	r.out.item("Healthy services", fmt.Sprintf("%d of %d", healthy, len(results)))
	r.out.table([]string{"Service", "Ready", "State", "Last error"}, rows)
}

// Message gives the last task error of a service, and what a rollout waits for.
func Message(result deploy.ServiceResult) string {
	if result.Error != "" && result.Message != "" {
		return result.Error + "; " + result.Message
	}
	return result.Error + result.Message
}

func (r *rollbackReport) listChecks(results []checks.Result) {
	if len(results) == 0 {
		r.out.item("Checks", "none were run")
		return
	}
	r.out.item("Checks", checks.Summary(results))
	rows := make([][]string, 0, len(results))
	for _, result := range results {
		outcome := "passed"
		if !result.OK {
			outcome = "failed: " + result.Error
		}
		rows = append(rows, []string{result.Name, result.Kind + " " + result.Target, fmt.Sprintf("%.3f s", result.Seconds), outcome})
	}
	r.out.table([]string{"Check", "Target", "Time", "Result"}, rows)
}

// moment is a row of the timeline.
type moment struct {
	at   time.Time
	what string
}

func (r *rollbackReport) timeline() {
	var moments []moment
	add := func(at time.Time, format string, args ...any) {
		if !at.IsZero() {
			moments = append(moments, moment{at, fmt.Sprintf(format, args...)})
		}
	}
	add(r.sync.Started, "Sync #%d started (%s)", r.sync.ID, r.sync.Trigger)
	if r.sync.Approval != nil {
		add(r.sync.Approval.At, "Approved by %s", strings.Join(r.sync.Approval.By, ", "))
	}
	if r.back.Auto {
		if r.sync.Wrote {
			add(r.sync.Entered["apply"], "First write to the engine")
			add(r.sync.Entered["verify"], "All changes written, verification started")
		}
		add(r.back.Started, "Failure detected at %s", r.sync.FailedAt())
	}
	switch {
	case r.back.Refused != "":
		add(r.back.Started, "Rollback refused")
	default:
		add(r.back.Started, "Rollback started")
	}
	if succeeded(r.back) {
		add(r.back.Finished, "Rollback completed, services restored")
	} else if r.back.Refused == "" {
		add(r.back.Finished, "Rollback failed")
	}
	add(r.sync.Finished, "Sync finished: %s", r.sync.State)
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	rows := make([][]string, 0, len(moments))
	for _, one := range moments {
		rows = append(rows, []string{stamp(one.at), one.what})
	}
	r.out.table([]string{"Time", "Event"}, rows)
}
