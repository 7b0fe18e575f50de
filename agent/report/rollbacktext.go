package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
)

// text gives the report. Errors, log lines, names and subjects may contain anything, so each of
// them goes through item, escape, cell, span or code.
func (r *rollbackReport) text() string {
	fmt.Fprintf(&r.out, "# Rollback report: %s, sync #%d\n", escape(r.Node), r.Sync.ID)
	r.incident()
	r.versions()
	r.actions()
	r.verification()
	r.section("Impact")
	r.item("Downtime", r.downtime())
	r.item("Services whose tasks were replaced", strings.Join(r.restarted(), ", "))
	r.item("Affected users", "not known to the agent")
	r.item("Data", r.data())
	r.cause()
	r.nextSteps()
	r.section("Timeline")
	r.table("Time", "Event")
	for _, one := range r.timeline() {
		r.row(stamp(one.At), cell(one.What))
	}
	return r.out.String()
}

func (r *rollbackReport) section(name string) { r.out.WriteString("\n## " + name + "\n\n") }
func (r *rollbackReport) item(name, text any) { r.out.WriteString(item(name, text)) }

// step adds a numbered step.
func (r *rollbackReport) step(format string, args ...any) {
	r.steps++
	fmt.Fprintf(&r.out, "%d. %s\n", r.steps, r.Sync.Key.In(fmt.Sprintf(format, args...)))
}

// table adds the head of a table.
func (r *rollbackReport) table(columns ...string) {
	r.row(columns...)
	r.out.WriteString(strings.Repeat("|---", len(columns)) + "|\n")
}

func (r *rollbackReport) row(cells ...string) {
	r.out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func (r *rollbackReport) incident() {
	r.section("Incident Summary")
	r.item("Environment", fmt.Sprintf("%s, node %s, stack %s", r.Node.Environment, r.Node.Name, r.Sync.Stack))
	r.item("Date", stamp(r.Back.Started))
	r.item("Rollback", Outcome(r.Back))
	if r.Back.Auto {
		r.item("Started by", "the agent (`deployment.rollback.automatic`)")
	} else {
		r.item("Started by", r.Sync.Actor)
	}
	r.item("Reason", r.Back.Reason)
	r.item("Release by", fmt.Sprintf("%s (%q)", audit.AuthorName(r.Sync.Author), r.Sync.Subject))
	if d := r.Sync.Deployment; d != nil {
		r.item("Pipeline", d.PipelineID)
		r.item("Task", d.TaskID)
	}
	if r.Sync.Error != "" {
		r.item("Failed at", fmt.Sprintf("%s: %s", r.Sync.FailedAt(), r.Sync.Error))
	}
}

func (r *rollbackReport) versions() {
	r.section("Versions")
	left := fmt.Sprintf("commit %s of %s", record.Short(r.Sync.Commit), r.Sync.Ref)
	if r.Sync.Release != "" {
		left = "release " + r.Sync.Release + ", " + left
	}
	was, is := "Version before the rollback", "Last good version"
	if r.Back.Auto {
		was = "Failed version"
	}
	if r.succeeded() {
		is = "Rolled back to"
	}
	r.item(was, left)
	r.item(is, r.goodState())
	if replaced := r.replaced(); len(replaced) > 0 {
		r.out.WriteByte('\n')
		r.table("Service", "Image of the failed version", "Image before it")
		for _, one := range replaced {
			r.row(cell(one.Service), cell(one.Image), cell(one.Before))
		}
	}
}

func (r *rollbackReport) actions() {
	r.section("Rollback Actions")
	back := r.Back
	if len(back.Services) > 0 {
		r.item("Scope", "only these services: "+strings.Join(back.Services, ", "))
	}
	switch {
	case back.Refused != "":
		r.out.WriteString("None. The rollback was refused: " + escape(back.Refused) + "\n")
		r.warnings()
		return
	case !back.Wrote:
		r.out.WriteString("None: nothing was written.\n")
		return
	}
	r.item("Result", back.Summary)
	r.item("Jobs that were not run again", strings.Join(back.Left, ", "))
	r.warnings()
	if r.Read.BackPlan == nil {
		return
	}
	if len(back.Services) > 0 || back.Summary != "" || len(back.Left) > 0 || len(back.Warnings) > 0 {
		r.out.WriteByte('\n')
	}
	r.out.WriteString(code(PlanTexts(*r.Read.BackPlan)))
}

func (r *rollbackReport) warnings() {
	for _, warning := range r.Back.Warnings {
		r.item("Warning", warning)
	}
}

func (r *rollbackReport) verification() {
	r.section("Verification")
	if !r.Back.Wrote && !r.succeeded() {
		r.out.WriteString("None: nothing was rolled back.\n")
		return
	}
	if restored := r.Read.Restored; len(restored) > 0 {
		r.restored(restored)
	} else {
		r.out.WriteString("The services were not verified.\n")
	}
	if asked := r.Read.Asked; len(asked) > 0 {
		r.item("Checks", checks.Summary(asked))
		r.out.WriteByte('\n')
		r.table("Check", "Target", "Time", "Result")
		for _, one := range asked {
			result := "passed"
			if !one.OK {
				result = cell("failed: " + one.Error)
			}
			r.row(cell(one.Name), cell(fmt.Sprint(one.Kind, " ", one.Target)), fmt.Sprintf("%.3f s", one.Seconds), result)
		}
	} else {
		r.item("Checks", "none were run")
	}
	if r.Back.Error != "" {
		r.out.WriteByte('\n')
		r.item("Failed", r.Back.Error)
		r.item("Hint", r.Back.Hint)
	}
}

// restored adds how many services are healthy, and those that are not.
func (r *rollbackReport) restored(services []deploy.ServiceResult) {
	sick := unhealthy(services)
	r.item("Healthy services", fmt.Sprintf("%d of %d", len(services)-len(sick), len(services)))
	if len(sick) == 0 {
		return
	}
	r.out.WriteByte('\n')
	r.table("Service", "Ready", "State", "Last error")
	for _, one := range sick {
		r.row(cell(one.Name), fmt.Sprintf("%d/%d", one.Ready, one.Want), cell(one.State), cell(Message(one)))
	}
	r.out.WriteByte('\n')
}

func (r *rollbackReport) cause() {
	r.section("Root Cause")
	switch after := r.Back.After; {
	case r.Sync.Error != "":
		for _, one := range r.Sync.All() {
			r.item(r.Sync.FailedAt(), one.Error)
			r.item("Hint", one.Hint)
		}
		for _, one := range r.unready() {
			r.evidence(one)
		}
		r.out.WriteString("\nThese are the symptoms. An engineer has to find the cause.\n")
	case after != nil:
		r.item(fmt.Sprintf("Sync #%d failed", after.Sync), fmt.Sprintf("%s: %s", after.Stage, after.Error))
		fmt.Fprintf(&r.out, "\n`agent show %d` shows the output of its services.\n", after.Sync)
	default:
		r.out.WriteString("No failure is recorded: a user requested the rollback.\n")
	}
}

// evidence adds what is known of a service that was not ready.
func (r *rollbackReport) evidence(of deploy.ServiceResult) {
	if of.Error == "" && len(of.Health) == 0 && len(of.Logs) == 0 {
		return
	}
	fmt.Fprintf(&r.out, "\n### %s\n\n", escape(of.Name))
	r.item("Ready", fmt.Sprintf("%d of %d tasks", of.Ready, of.Want))
	r.item("Task error", of.Error)
	if of.ExitCode != 0 {
		r.item("Exit code", of.ExitCode)
	}
	r.item("Node", of.Node)
	if len(of.Health) > 0 {
		r.out.WriteString("\nOutput of its health check:\n\n" + code(of.Health))
	}
	if len(of.Logs) > 0 {
		r.out.WriteString("\nIts last log lines:\n\n" + code(of.Logs))
	}
}

func (r *rollbackReport) nextSteps() {
	r.section("Next Steps")
	back, commit := r.Back, escape(record.Short(r.Sync.Commit))
	switch {
	case back.Refused != "":
		r.step("Nothing was rolled back, and the failed version still runs. Check that it serves its users, or stop it.")
		r.hintStep()
		if strings.Contains(back.Hint, "--force-migrations") && back.To != 0 { // the hint names it if migrations are the reason
			r.step("To roll back across the migrations on your own responsibility: `agent rollback --to %d --force-migrations --reason …`.", back.To)
		} else if back.To != 0 {
			r.step("Then run `agent rollback --to %d --reason …`.", back.To)
		}
	case back.Finished.IsZero():
		r.step("Wait until the rollback has finished: `agent status --watch` shows its progress.")
	case r.succeeded():
		r.step("The node stays at %s until a new commit changes its files, or until `agent resume`.", escape(r.goodState()))
	default:
		r.step("The stack may be a mix of both versions: `agent status` shows each service.")
		r.hintStep()
		r.step("When the cause is fixed: `agent rollback --to %d --reason …`.", back.To)
	}
	for i, one := range r.unready() {
		if i < 3 && one.Name != "" {
			r.step("Find the cause in %s: %s, %s.", escape(one.Name), Span("docker service logs "+one.Name), Span("docker service ps --no-trunc "+one.Name))
		}
	}
	if others := r.otherNodes(); len(others) > 0 {
		r.step("Check the other nodes (%s): the statuses of commit %s in GitLab show their results.", escape(strings.Join(others, ", ")), commit)
	}
	r.step("Fix or revert commit %s with a merge request, and deploy the fix to a lower environment first.", commit)
}

// hintStep adds the hint of the rollback's error as a step, if there is one.
func (r *rollbackReport) hintStep() {
	hint := r.Back.Hint
	switch {
	case hint == "":
	case strings.HasPrefix(hint, "docker "):
		r.step("Run %s.", Span(hint))
	default:
		r.step("%s", escape(sentence(hint)))
	}
}
