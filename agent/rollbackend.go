package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// finishBack decides how a rollback has ended, writes it down and tells everyone.
// What is no fault of the good state is tried again by the next look; nothing else
// is.
func (r *reconcile) finishBack(ctx context.Context, err error) outcome {
	whole, taken := r.back.whole, r.back.whole.Rollback
	if err != nil && ctx.Err() != nil {
		return outcome{sync: whole, err: err} // the agent is stopping: the next start carries on
	}
	r.update(func(v *view) { v.progress, v.rollout = "", nil })
	if err = r.noteEnd(err); passing(err) {
		return outcome{sync: whole, err: errors.Join(err, r.announceDelay(whole, err))}
	}
	r.sync.Finished = time.Now()
	whole = r.back.fold(r.sync)
	whole.Finished, taken.Finished = r.sync.Finished, r.sync.Finished
	whole.Seconds["rollback"] = taken.Finished.Sub(taken.Started).Seconds()
	var applied *state.Applied
	if err == nil {
		applied, err = r.wentBack()
	}
	if err != nil {
		if failErr := r.failBack(err); failErr != nil {
			return outcome{sync: whole, err: failErr}
		}
	}
	if reportErr := r.report(whole); reportErr != nil {
		return outcome{sync: whole, err: reportErr}
	}
	if saveErr := r.record(whole, applied); saveErr != nil {
		return outcome{sync: whole, err: saveErr}
	}
	_, lookErr := r.observe(ctx)
	if lookErr == nil && whole.State == state.RolledBack {
		r.surveyNow(ctx)
	}
	return outcome{sync: whole, err: lookErr}
}

// wentBack makes the whole sync one that went back, and gives what runs now.
func (r *reconcile) wentBack() (*state.Applied, error) {
	whole, taken, to := r.back.whole, r.back.whole.Rollback, r.back.to
	plan, err := r.begun()
	if err != nil {
		return nil, err
	}
	services, err := r.servicesNow()
	if err != nil {
		return nil, err
	}
	applied := *to
	applied.At, applied.Of, applied.Services, applied.Contents = taken.Finished, to.Root(), services, nil
	applied.Resolve = string(compose.ResolveNever) // what runs is what ran, not what its tags have come to mean
	if noted := r.sync.Migration; noted != nil && noted.After != nil {
		applied.Migration = noted.After // it is proven with that now
	}
	if v := r.snapshot(); v.applied != nil {
		applied.Retention = v.applied.Retention
		if len(taken.Services) > 0 || len(taken.Left) > 0 {
			secrets, configs := referred(r.back.all)
			applied.Secrets, applied.Configs = union(to.Secrets, v.applied.Secrets, secrets), union(to.Configs, v.applied.Configs, configs)
		}
	}
	whole.State, whole.Stage, whole.Waiting, whole.Retry = state.RolledBack, taken.Stage, "", false
	taken.Summary = summarise(plan)
	whole.Summary = wayOf(taken)
	if taken.Since.IsZero() {
		taken.Since = taken.Finished
	}
	return &applied, nil
}

// servicesNow are the specs that run now, in the very bytes of the good state where
// they are those.
func (r *reconcile) servicesNow() ([]byte, error) {
	services, err := json.Marshal(r.back.all.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	before, err := json.Marshal(r.back.before.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	if bytes.Equal(services, before) {
		return r.back.to.Services, nil
	}
	return services, nil
}

// referred lists the secrets and configs that services of a stack have.
func referred(stack *compose.Stack) (secrets, configs []state.Object) {
	for _, spec := range stack.Services {
		container := spec.TaskTemplate.ContainerSpec
		if container == nil {
			continue
		}
		for _, secret := range container.Secrets {
			secrets = append(secrets, state.Object{Name: secret.SecretName})
		}
		for _, config := range container.Configs {
			configs = append(configs, state.Object{Name: config.ConfigName})
		}
	}
	return secrets, configs
}

// union joins lists of objects, sorted by name, each once, as the first list has it.
func union(lists ...[]state.Object) []state.Object {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b state.Object) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b state.Object) bool { return a.Name == b.Name })
}

// failBack makes the whole sync one that has failed, and says what of going back.
// Where nothing was written yet it was refused.
func (r *reconcile) failBack(err error) error {
	whole, taken := r.back.whole, r.back.whole.Rollback
	var at stageError
	if errors.As(err, &at) {
		err = at.err
	}
	text, hint, all := faults(err)
	refused := !taken.Touched && at.stage != "verify" && at.stage != "apply"
	whole.State, whole.Stage = state.Failed, taken.Stage
	taken.Hint = hint
	if refused {
		taken.Refused = text
	} else {
		taken.Error = text
	}
	if whole.Error == "" {
		whole.Stage, whole.Error, whole.Hint, whole.Faults = "rollback", text, hint, all
	}
	r.Log.Error("cannot go back", "revision", short(whole.Commit), "to", named(taken), "error", text, "hint", hint)
	if !refused {
		return nil // noteEnd has told
	}
	entry := syncEntry(r.sync)
	entry.Outcome, entry.Error, entry.Detail = audit.Failed, text, "refused: to "+named(taken)
	return r.write(entry)
}

// named is the good state that a rollback goes to.
func named(taken *state.Rollback) string {
	return fmt.Sprintf("%s (sync #%d)", first(taken.Release, short(taken.Commit)), taken.To)
}

// because is the reason of a rollback, to be put behind what was done.
func because(taken *state.Rollback) string {
	if taken.Reason == "" {
		return ""
	}
	return ": " + taken.Reason
}

// RollbackText says what has become of going back after a sync, for people; "" where
// nothing has.
func RollbackText(sync *state.Sync) string { return wayOf(sync.Rollback) }

// wayOf says what has become of going back, for people; "" where nothing has.
func wayOf(taken *state.Rollback) string {
	switch {
	case taken == nil || taken.Finished.IsZero():
		return ""
	case taken.Refused != "":
		return "not rolled back: " + taken.Refused
	case taken.Error != "":
		return "not well after going back to " + named(taken) + ": " + taken.Error
	}
	text := "rolled back to " + named(taken)
	if len(taken.Services) > 0 {
		text = "rolled " + strings.Join(taken.Services, ", ") + " back to " + named(taken)
	}
	if taken.By.By == audit.ByUser {
		text += " by " + taken.By.String()
	}
	return text + because(taken)
}

// Pinned says where a node stays that went back, since when and by whom.
type Pinned struct {
	To      uint64      `json:"to"` // the good state's sync
	Commit  string      `json:"commit"`
	Release string      `json:"release,omitempty"`
	Since   time.Time   `json:"since"`
	By      audit.Actor `json:"by"`
	Reason  string      `json:"reason,omitempty"`
}

// pinnedAt is where the node stays after its last sync; nil where it follows the
// remote.
func pinnedAt(last *state.Sync) *Pinned {
	if last == nil || last.State != state.RolledBack || last.Rollback == nil || resumed(last) {
		return nil
	}
	taken := last.Rollback
	return &Pinned{To: taken.To, Commit: taken.Commit, Release: taken.Release, Since: taken.Since, By: taken.By, Reason: taken.Reason}
}

// pinnedByHand says that a person has the node stay where it is.
func pinnedByHand(last *state.Sync) bool { return pinnedAt(last) != nil && !last.Rollback.Auto }

// resumed says that somebody ended the staying: the revision is due again.
func resumed(last *state.Sync) bool {
	return last != nil && last.Rollback != nil && last.State == state.RolledBack && !last.Rollback.Resumed.IsZero()
}

// stillPinned is the rollback whose outcome a commit shares that changes nothing
// here.
func stillPinned(last *state.Sync) *state.Rollback {
	if last.Rollback == nil || last.State != state.RolledBack {
		return nil
	}
	taken := *last.Rollback
	taken.Plan, taken.ServicesOf, taken.Checks, taken.Seconds = nil, nil, nil, nil
	return &taken
}

// pinnedError refuses to roll out what a person went back from.
type pinnedError struct{ error }

func (e pinnedError) Unwrap() error { return e.error }

func errPinned(last *state.Sync) error {
	at := pinnedAt(last)
	return pinnedError{fault.New(fault.Place{}, "`agent resume` goes back to "+last.Ref, "%s is not rolled out: pinned at %s since %s by %s",
		short(last.Commit), named(last.Rollback), at.Since.Local().Format(time.DateTime), at.By)}
}
