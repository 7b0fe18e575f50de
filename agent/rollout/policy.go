package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/policy"
)

// obey is the stage that refuses what the node's policy does not allow, before anything is
// planned or written. It also refuses a rollback, and an attempt that is carried on: a
// policy that was changed meanwhile bounds all writes that follow.
func (a *attempt) obey(context.Context) error {
	return a.goal.refused(a.policy().Judge(a.goal.subject()))
}

// policy gives the policy that is in force now, and notes it with the limits: what refuses next
// is judged by these, also if the policy is replaced meanwhile.
func (a *attempt) policy() *policy.Policy {
	now := a.use.Policy()
	a.rules = RulesOf(now, a.use.Settings.Limits)
	return now
}

// Forbidden says what the node's policy refuses of the deployed good state, also of the
// signatures of its images; nil if it allows it, or if a registry or the engine could not be
// asked, which a correction reports. It changes nothing.
func (r *Rollouts) Forbidden(ctx context.Context, base Base) error {
	if r.use.Policy() == nil || base.Deployed == nil || base.Last == nil {
		return nil
	}
	sync, err := backSync(base, base.Deployed, Rollback{Drift: true})
	if err != nil {
		return err
	}
	b := r.newBack(base, sync, base.Deployed, func(string) {})
	if err := b.load(ctx); err != nil {
		return nil //nolint:nilerr // a correction reports it
	}
	if err := b.a.obey(ctx); err != nil {
		return err
	}
	var unsigned error
	_ = b.a.inTime(ctx, stage{record.StagePlan, func(ctx context.Context) error { // ends late if a registry does not answer
		live, err := b.a.use.Engine.Observe(ctx, b.a.stack)
		if err == nil {
			var verdict signing.Verdict
			verdict, err = b.a.judgeSignatures(ctx, live)
			unsigned = b.a.goal.refused(verdict.Refusals)
		}
		return err
	}})
	return unsigned
}

// RulesOf gives a digest of a policy, the keys in the files that it names for images, and limits.
func RulesOf(of *policy.Policy, most limits.Limits) string {
	text, _ := json.Marshal(struct {
		Policy *policy.Policy
		Limits limits.Limits
		Keys   []string `json:",omitempty"`
	}{of, most.OrDefault(), signing.KeysOf(of)}) // both have been read from YAML: there is nothing in them that JSON lacks
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// byRules reports whether an error is a refusal by the node's policy, limits or bounds of
// credentials, which may be others after a reload or a restart.
func byRules(err error) bool {
	return errors.Is(err, policy.ErrRefused) || errors.Is(err, limits.ErrExceeded) || errors.Is(err, desired.ErrBounded)
}

// demandSignatures refuses images without the signatures that the policy demands. It asks when
// the digests are known that will run: those of all services that the policy judges.
func (a *attempt) demandSignatures(ctx context.Context, live *deploy.Live) error {
	if len(a.use.Policy().Signatures()) == 0 {
		return nil
	}
	a.show("looking for the signatures of images")
	defer a.use.Screen.Progress("")
	verdict, err := a.judgeSignatures(ctx, live)
	if err := errors.Join(a.goal.refused(verdict.Refusals), err); err != nil {
		return err
	}
	for _, text := range verdict.Warnings {
		a.warn(text)
		a.plan.Warnings = append(a.plan.Warnings, text)
	}
	a.use.Log.Info("images are signed", "revision", record.Short(a.commit), "images", verdict.Signed)
	return nil
}

// judgeSignatures asks for the signatures of the images that will run; of none if the policy
// demands none.
func (a *attempt) judgeSignatures(ctx context.Context, live *deploy.Live) (signing.Verdict, error) {
	rules := a.policy()
	if len(rules.Signatures()) == 0 {
		return signing.Verdict{}, nil
	}
	stack := a.goal.subject().Stack
	images := deploy.Images(stack, live.Services)
	for _, name := range a.sync.Leaves {
		delete(images, name)
	}
	return a.use.Images.Judge(ctx, rules, stack, images)
}

// policed adds the stage to the stages before it, where there is a policy.
func policed(a *attempt, stages []stage) []stage {
	if a.use.Policy() == nil {
		return stages
	}
	return append(stages, stage{record.StagePolicy, a.obey})
}

func (f *forward) subject() policy.Subject {
	return policy.Subject{Stack: f.a.stack, Node: f.a.desired.Node, Engine: f.a.use.Settings.Engine}
}

func (f *forward) refused(refusals []policy.Refusal) error { return policy.Err(refusals) }

// subject gives what the good state asks of the node: its recorded specs, or those of the
// services that the rollback is for, with the config.yml that is recorded with them.
func (b *back) subject() policy.Subject {
	stack := *b.before
	if only := b.a.sync.Rollback.Services; len(only) > 0 {
		stack.Services = maps.Clone(stack.Services)
		maps.DeleteFunc(stack.Services, func(name string, _ swarm.ServiceSpec) bool { return !slices.Contains(only, name) })
	}
	stack.ExternalSecrets, stack.ExternalConfigs = foreignObjects(b.to.Secrets), foreignObjects(b.to.Configs)
	stack.Secrets, stack.Configs = nil, nil
	subject := policy.Subject{Stack: &stack, Engine: b.a.use.Settings.Engine}
	if b.a.desired != nil {
		subject.Node = b.a.desired.Node
	}
	return subject
}

// foreignObjects gives the names of the objects that a good state used and did not own.
func foreignObjects(objects []record.Object) (names []string) {
	for _, object := range objects {
		if object.Key == "" {
			names = append(names, object.Name)
		}
	}
	return names
}

// refused says which good state the policy does not allow: the places are those of the files
// that it was made of.
func (b *back) refused(refusals []policy.Refusal) error {
	for i := range refusals {
		refusals[i].Place = fault.Place{}
		refusals[i].Message = fmt.Sprintf("the good state of sync #%d: %s", b.to.SyncID, refusals[i].Message)
		refusals[i].Hint = "roll back to another state: `agent history` marks the good ones; or have the node's operator change the policy in agent.yml, and run systemctl reload coin-agent"
	}
	return policy.Err(refusals)
}
