package preview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

// sight is what a look at a merge request has found.
type sight struct {
	of    gitlab.Request
	asked bool                 // GitLab was asked for it just now
	moved *gitlab.Request      // its branch has moved meanwhile; nil if not
	over  bool                 // it is not to be looked at: closed, of a fork, or into another branch
	lost  bool                 // its commit is not there
	page  *report.Preview      // nil if it does not concern the node
	needs []manifests.Approval // that its rollout will wait for
	wrong error                // why its plan alone cannot be made now; nil if it can
	again time.Time            // when it is looked at again, although page is shown; zero for never
}

// look reads a merge request's commit and makes its plan. An error is one of git, of GitLab or
// of the state file, which concerns all merge requests.
func (w *Worker) look(ctx context.Context, one wanted) (*sight, error) {
	made := &sight{of: one.of}
	revision := gitsync.Revision{Commit: one.of.Head, Ref: one.of.Source}
	if err := w.begin(one.of); err != nil {
		return nil, err
	}
	err := readRequest(ctx, w, made, revision, one.found)
	return made, errors.Join(err, w.end())
}

// readRequest does the part of look over which the process may die.
// known says that GitLab was asked for the merge request before.
func readRequest(ctx context.Context, w *Worker, made *sight, revision gitsync.Revision, known bool) error {
	last := w.use.Last()
	checkout, err := w.use.Source.Fetch(ctx, revision, w.use.Paths)
	switch {
	case errors.As(err, new(*signing.Refused)), rollout.Unreadable(err):
		if err := findRevision(ctx, w, made); err != nil || made.over || made.moved != nil {
			return err
		}
		made.page = pageOf(w, made.of, last)
		refuse(made.page, "not read", err)
		return nil
	case errors.Is(err, gitsync.ErrNotFound):
		made.lost = true // the branch has moved or was removed, or not all of git's replicas have it
		return nil
	case err != nil:
		if err := noteAlone(ctx, w, made, fmt.Errorf("fetch %s: %w", record.Short(revision.Commit), err)); err != nil || known {
			return err
		}
		return findRevision(ctx, w, made)
	}
	if last != nil && len(last.Inputs) > 0 && checkout.Same(last.Inputs) {
		return nil
	}
	if !known {
		if err := findRevision(ctx, w, made); err != nil || made.over || made.moved != nil {
			return err
		}
	}
	return foreseeRollout(ctx, w, made, checkout, last)
}

// foreseeRollout makes the plan of a merge request whose commit is read.
func foreseeRollout(ctx context.Context, w *Worker, made *sight, checkout *gitsync.Checkout, last *record.Sync) error {
	var asked error
	plan, err := w.use.Planner.Preview(ctx, checkout, func() (is bool, err error) {
		is, asked = concernsNode(ctx, w, made.of, checkout)
		return is, asked
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil && asked != nil:
		return noteAlone(ctx, w, made, err)
	case err != nil && rollout.Transient(err):
		if errors.As(err, new(*gitlab.Error)) {
			return err
		}
		made.wrong = err
		return nil
	case err != nil:
		made.page = pageOf(w, made.of, last)
		refuse(made.page, refusal(err), err)
	case plan != nil:
		made.page = pageOf(w, made.of, last)
		if made.page.Signer, err = w.use.Signer(ctx, checkout.Revision); err != nil {
			return err // it was signed when it was fetched: the keys or the remote
		}
		made.page.Plan, made.page.Release, made.page.Loosens, made.page.Waits = &plan.Plan, plan.Release, plan.Loosens, plan.Waits
		made.needs, made.page.Demands = plan.Approvals, gates.Demanded(plan.Approvals)
	default:
		return nil
	}
	if last != nil && last.Ref == made.of.Target {
		follows, err := w.use.Source.Descends(ctx, last.Commit, made.of.Head)
		if err != nil {
			return noteAlone(ctx, w, made, fmt.Errorf("look at the history of %s: %w", made.of.Source, err))
		}
		made.page.Behind = !follows
	}
	return nil
}

// noteAlone notes that an error of git is one of this merge request, and concerns no other: the remote
// answers, but does not give this commit. It returns the error if the remote does not answer.
func noteAlone(ctx context.Context, w *Worker, made *sight, err error) error {
	if _, silent := w.use.Source.Select(ctx, gitsync.Rule{Branch: w.use.Branch}); silent != nil {
		return err
	}
	made.wrong = err
	return nil
}

// findRevision asks GitLab for the merge request: it may have moved, or be closed, since the list.
func findRevision(ctx context.Context, w *Worker, made *sight) error {
	now, err := w.use.Requests.Find(ctx, made.of.Number)
	switch {
	case gone(err):
		made.over = true
		return nil
	case err != nil:
		return err
	}
	switch {
	case now.State != gitlab.Opened, now.Fork, now.Target != w.use.Branch:
		made.over = true
	case now.Head != made.of.Head:
		made.moved = &now
	}
	made.of, made.asked = now, true
	return nil
}

// concernsNode reports whether the merge request changes anything that its plan has read.
func concernsNode(ctx context.Context, w *Worker, of gitlab.Request, checkout *gitsync.Checkout) (bool, error) {
	if of.Base == "" {
		return true, nil
	}
	base, err := w.use.Source.Fetch(ctx, gitsync.Revision{Commit: of.Base, Ref: of.Target}, nil)
	switch {
	case errors.Is(err, gitsync.ErrNotFound), errors.As(err, new(*signing.Refused)), rollout.Unreadable(err):
		return true, nil // it is not known what the branch began with
	case err != nil:
		return false, fmt.Errorf("fetch %s: %w", record.Short(of.Base), err)
	}
	return !base.Same(checkout.Inputs()), nil
}

// pageOf begins what is said of a merge request.
func pageOf(w *Worker, of gitlab.Request, last *record.Sync) *report.Preview {
	page := &report.Preview{Node: w.use.Node, Branch: of.Source, Head: of.Head, Target: of.Target, At: time.Now()}
	if last != nil {
		page.Runs = last.Commit
	}
	return page
}

// refusal says what an error of a plan means.
func refusal(err error) string {
	if errors.Is(err, policy.ErrRefused) {
		return "refused by the policy"
	}
	if rollout.StageOf(err) == record.StagePlan {
		return "cannot be applied"
	}
	return "cannot be rendered"
}

func refuse(page *report.Preview, what string, err error) {
	page.Refused = what
	for _, one := range fault.All(err) {
		page.Faults = append(page.Faults, record.Fault{Error: one.Error(), Hint: fault.Hint(one)})
	}
}

// settle records what a look has found, and shows it.
func (w *Worker) settle(ctx context.Context, made *sight) error {
	before := w.shown[made.of.Number]
	one := Shown{Number: made.of.Number, Head: made.of.Head}
	if before != nil {
		one.Making, one.Told = before.Making, before.Told
	}
	page := made.page
	if page == nil && (made.lost || !attempted(before)) {
		if before == nil {
			return w.save(one, nil)
		}
		kept := *before // what was shown stays
		kept.Head, kept.Again = made.of.Head, time.Time{}
		return w.save(kept, nil)
	}
	if page == nil {
		page = pageOf(w, made.of, w.use.Last())
		page.None = true
	}
	text := &Text{Page: page.Page()}
	if same, err := sameText(w, before, made, text); err != nil || same {
		return err
	}
	one.Again = made.again
	one.Of, one.Phase, one.Due, one.Left = made.of.Head, Write, time.Now(), 2
	state := gitlab.Success
	switch {
	case page.Plan != nil:
		one.Plan, text.Lines = page.Plan.Digest(), report.PlanSteps(*page.Plan)
	case !page.None:
		state = gitlab.Failed
	}
	one.Report = &gitlab.Report{
		Commit: made.of.Head, Ref: made.of.Source, Name: w.use.Status, State: state, Description: page.Description(), Target: made.of.URL, Plan: true,
	}
	if err := firstCount(ctx, w, made, &one, text); err != nil {
		return err
	}
	if err := w.save(one, text); err != nil {
		return err
	}
	return w.show(ctx, w.shown[one.Number], made.fresh())
}

// attempted reports whether the note may have a text of this node: one was written, or its answer
// is lost.
func attempted(one *Shown) bool { return one != nil && one.Of != "" }

// fresh gives the merge request if GitLab was just asked for it; else nil.
func (s *sight) fresh() *gitlab.Request {
	if !s.asked {
		return nil
	}
	return &s.of
}

// sameText reports whether a merge request without a plan still has none for the reason that its
// note has. Only the time of the next look is recorded then.
func sameText(w *Worker, before *Shown, made *sight, text *Text) (bool, error) {
	if made.again.IsZero() || before == nil || before.Of != made.of.Head || before.Again.IsZero() {
		return false, nil
	}
	shown, err := w.use.Store.PreviewText(before.Number)
	if err != nil || !slices.Equal(shown.Page.Cells, text.Page.Cells) {
		return false, err
	}
	kept := *before
	kept.Again = made.again
	return true, w.save(kept, nil)
}

// noteStale notes that what is shown is about a commit that the branch no longer ends with, and
// whose successor has no plan yet.
func noteStale(w *Worker, of gitlab.Request, why error) error {
	before := w.shown[of.Number]
	if !attempted(before) || before.Of == of.Head || before.After || before.Stale != "" {
		return nil
	}
	return outdate(w, *before, of.Head, fault.All(why)[0].Error())
}

// refuseDeath records that a merge request ended the process, so that it is not read again.
func (w *Worker) refuseDeath(died Mark) error {
	one := Shown{Number: died.Number, Head: died.Head}
	if before := w.shown[died.Number]; before != nil {
		one = *before
		one.Head, one.Again = died.Head, time.Time{}
	}
	if !attempted(&one) {
		return w.save(one, nil)
	}
	return outdate(w, one, died.Head, "the agent ended while it read that commit, and does not read it again")
}

// outdate adds to a note that it is not about head, and why that has no plan.
func outdate(w *Worker, one Shown, head, why string) error {
	text, err := w.use.Store.PreviewText(one.Number)
	if err != nil {
		return err
	}
	one.Phase, one.Due, one.Left, one.Report, one.Stale = Write, time.Now(), 1, nil, head
	one.Counts = false
	text.Page = report.StalePage(uncounted(text), head, why)
	return w.save(one, &text)
}
