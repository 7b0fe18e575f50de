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

// Rollback tells a rollback, or why there was none, as Markdown, in the sections of the
// report that was written by hand of old.
func Rollback(node Node, sync *record.Sync) (string, error) {
	if sync.Rollback == nil {
		return "", fault.New(fault.Place{}, fmt.Sprintf("`agent show %d` has what it did; `agent history` marks those that went back", sync.ID),
			"sync #%d has no rollback to report", sync.ID)
	}
	read, err := recordOf(sync)
	if err != nil {
		return "", err
	}
	r := &rollbackReport{node: node, sync: sync, back: sync.Rollback, contents: read}
	r.heading(1, fmt.Sprintf("Rollback report: %s/%s, sync #%d", node.Environment, node.Name, sync.ID))
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
		r.heading(2, section.title)
		section.write()
	}
	return strings.TrimRight(r.String(), "\n") + "\n", nil
}

// rollbackReport is a report in the making.
type rollbackReport struct {
	markdown
	node Node
	sync *record.Sync
	back *record.Rollback
	*contents
}

// Outcome says in a few words what became of a rollback.
func Outcome(back *record.Rollback) string {
	switch {
	case back.Refused != "":
		return "refused: nothing was touched"
	case back.Finished.IsZero():
		return "under way"
	case back.Error != "" && back.Wrote:
		return "not proven: " + back.Error
	case back.Error != "":
		return "not done: " + back.Error
	}
	return "done and proven"
}

// proven says that the good state is back and was seen to be well.
func proven(back *record.Rollback) bool {
	return back.Refused == "" && back.Error == "" && !back.Finished.IsZero()
}

func short(commit string) string { return commit[:min(len(commit), 10)] }

// goodState names the state that a rollback goes to.
func goodState(back *record.Rollback) string {
	if back.To == 0 {
		return "none is recorded"
	}
	text := fmt.Sprintf("commit %s, proven by sync #%d", short(back.Commit), back.To)
	if back.Release != "" {
		text = "release " + back.Release + ", " + text
	}
	return text
}

func (r *rollbackReport) summary() {
	r.item("Environment", fmt.Sprintf("%s, node %s, stack %s", r.node.Environment, r.node.Name, r.sync.Stack))
	r.item("Date", stamp(r.back.Started))
	r.item("Rollback", Outcome(r.back))
	if r.back.Auto {
		r.item("Begun by", "the agent, by itself (`deployment.rollback.automatic`)")
	} else {
		r.item("Begun by", r.sync.Actor.String())
	}
	r.item("Reason given", r.back.Reason)
	r.item("Release by", fmt.Sprintf("%s (%q)", r.sync.Author, r.sync.Subject))
	if r.sync.Deployment != nil {
		r.item("Pipeline", r.sync.Deployment.PipelineID)
		r.item("Task", r.sync.Deployment.TaskID)
	}
	if r.sync.Error != "" {
		r.item("Failed at", string(r.sync.FailedAt())+": "+r.sync.Error)
	}
}

func (r *rollbackReport) versions() {
	failed := fmt.Sprintf("commit %s of %s", short(r.sync.Commit), r.sync.Ref)
	if r.sync.Release != "" {
		failed = "release " + r.sync.Release + ", " + failed
	}
	name := "Failed version"
	if !r.back.Auto {
		name = "Version left"
	}
	r.item(name, failed)
	name = "Rolled back to"
	if !proven(r.back) {
		name = "Last good version"
	}
	r.item(name, goodState(r.back))
	if r.sync.Deployment == nil || !r.back.Auto {
		return
	}
	var rows [][]string
	for _, image := range r.sync.Deployment.Services {
		if image.Before != "" {
			rows = append(rows, []string{image.Service, image.Image, image.Before})
		}
	}
	r.table([]string{"Service", "Image of the failed version", "Image before it"}, rows)
}

func (r *rollbackReport) actions() {
	if len(r.back.Services) > 0 {
		r.item("Asked for", "these services alone: "+strings.Join(r.back.Services, ", "))
	}
	switch {
	case r.back.Refused != "":
		r.line("None. It was refused: " + r.back.Refused)
		return
	case !r.back.Wrote:
		r.line("None: nothing was written.")
		return
	}
	r.item("What was done", r.back.Summary)
	r.item("Jobs that were not run again", strings.Join(r.back.Left, ", "))
	for _, warning := range r.back.Warnings {
		r.item("Warning", warning)
	}
	if r.wayBack != nil {
		lines := make([]string, 0, len(r.wayBack.Steps))
		for _, line := range PlanLines(*r.wayBack) {
			lines = append(lines, line.Text)
		}
		r.code(lines)
	}
}

func (r *rollbackReport) verification() {
	switch {
	case !r.back.Wrote && !proven(r.back):
		r.line("None: nothing was put back.")
		return
	case len(r.restored) == 0:
		r.line("The services were not followed.")
	default:
		r.listServices(r.restored)
	}
	r.listChecks(r.asked)
	if r.back.Error != "" {
		r.gap()
		r.item("Not proven", r.back.Error)
		r.item("Hint", r.back.Hint)
	}
}

// listServices says how many are what they declare, and lists those that are not.
func (r *rollbackReport) listServices(results []deploy.ServiceResult) {
	well := 0
	var rows [][]string
	for _, result := range results {
		if result.State == deploy.Converged {
			well++
			continue
		}
		rows = append(rows, []string{result.Name, fmt.Sprintf("%d/%d", result.Ready, result.Want), string(result.State), troubleOf(result)})
	}
	r.item("Services that are what they declare", fmt.Sprintf("%d of %d", well, len(results)))
	r.table([]string{"Service", "Ready", "State", "Last error"}, rows)
}

func troubleOf(result deploy.ServiceResult) string {
	if result.Error != "" && result.Message != "" {
		return result.Error + "; " + result.Message
	}
	return result.Error + result.Message
}

func (r *rollbackReport) listChecks(results []checks.Result) {
	if len(results) == 0 {
		r.item("Checks", "none were asked")
		return
	}
	r.item("Checks", checks.Summary(results))
	rows := make([][]string, 0, len(results))
	for _, result := range results {
		outcome := "passed"
		if !result.OK {
			outcome = "failed: " + result.Error
		}
		rows = append(rows, []string{result.Name, result.Kind + " " + result.Target, fmt.Sprintf("%.3f s", result.Seconds), outcome})
	}
	r.table([]string{"Check", "Asked", "Time", "Outcome"}, rows)
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
	add(r.sync.Started, "Sync #%d began (%s)", r.sync.ID, r.sync.Trigger)
	if r.sync.Approval != nil {
		add(r.sync.Approval.At, "Approved by %s", strings.Join(r.sync.Approval.By, ", "))
	}
	if r.back.Auto {
		if r.sync.Wrote {
			add(r.sync.Entered["apply"], "First write to the engine")
			add(r.sync.Entered["verify"], "All written; services and checks followed")
		}
		add(r.back.Started, "Failure detected at %s", r.sync.FailedAt())
	}
	switch {
	case r.back.Refused != "":
		add(r.back.Started, "Rollback refused")
	default:
		add(r.back.Started, "Rollback initiated")
	}
	if proven(r.back) {
		add(r.back.Finished, "Rollback completed, services restored")
	} else if r.back.Refused == "" {
		add(r.back.Finished, "Rollback given up")
	}
	add(r.sync.Finished, "Sync over: %s", r.sync.State)
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	rows := make([][]string, 0, len(moments))
	for _, one := range moments {
		rows = append(rows, []string{stamp(one.at), one.what})
	}
	r.table([]string{"Time", "What"}, rows)
}
