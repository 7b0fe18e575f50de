package rollout

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// target finds the good state to roll back to. Without a number it is the one before the
// deployed one, or, after a failed sync or with unverified changes, the newest one.
func (r *Rollouts) target(base Base, goal Rollback) (*record.GoodState, error) {
	last := base.Last
	if goal.State != nil && last != nil {
		return goal.State, nil
	}
	good, err := r.use.Records.AllGood(time.Now())
	if err != nil {
		return nil, fmt.Errorf("recall good states: %w", err)
	}
	if len(good) == 0 || last == nil {
		return nil, fault.New(fault.Place{}, "roll out a revision that works: `agent status` says what is wrong with the last one", "cannot roll back: no good state is recorded yet")
	}
	if !goal.Auto {
		if err := r.refuseDisabled(base.Deployed); err != nil {
			return nil, err
		}
	}
	if goal.To != 0 {
		for i := range good {
			switch {
			case good[i].SyncID != goal.To:
			case good[i].Unfit != "":
				return nil, fault.New(fault.Place{}, "the good ones are: "+goodList(good), "sync #%d is not a good state: %s", goal.To, good[i].Unfit)
			default:
				return &good[i], nil
			}
		}
		return nil, fault.New(fault.Place{}, "the good ones are: "+goodList(good), "sync #%d is not a recorded good state", goal.To)
	}
	if last.State == record.Failed || last.Dirty() != 0 {
		return newest(good)
	}
	return before(good, goal.Services)
}

// newest gives the newest good state that a rollback can return to.
func newest(good []record.GoodState) (*record.GoodState, error) {
	if i := record.NewestFit(good); i >= 0 {
		return &good[i], nil
	}
	return nil, fault.New(fault.Place{}, "roll out a revision that works", "cannot roll back: %s, and no other good state is recorded", good[0].Unfit)
}

// before gives the newest good state that differs from the first, which is deployed, in
// the named services, or in any service if none is named. It skips good states that an
// earlier rollback has left.
func before(good []record.GoodState, services []string) (*record.GoodState, error) {
	running, err := drift.Applied(&good[0])
	if err != nil {
		return nil, err
	}
	for i := range good {
		stack, err := drift.Applied(&good[i])
		if err != nil {
			return nil, err
		}
		names, err := fullNames(services, running, stack)
		if err != nil {
			return nil, err
		}
		if good[i].Unfit == "" && good[i].SyncID <= good[0].Root() && deploy.RollbackChanges(running, stack, names) {
			return &good[i], nil
		}
	}
	return nil, fault.New(fault.Place{}, "the good ones are: "+goodList(good), "no good state is recorded from before %s, which runs", label(&good[0]))
}

// stateOf gives the good state of a sync, if it is still recorded.
func (r *Rollouts) stateOf(base Base, id uint64) (*record.GoodState, error) {
	if applied := base.Deployed; applied != nil && applied.SyncID == id {
		return applied, nil
	}
	good, err := r.use.Records.Good(record.KeepGood)
	if err != nil {
		return nil, fmt.Errorf("recall good states: %w", err)
	}
	for i := range good {
		if good[i].SyncID == id {
			return &good[i], nil
		}
	}
	return nil, nil
}

func label(good *record.GoodState) string {
	return fmt.Sprintf("#%d %s", good.SyncID, cmp.Or(good.Release, record.Short(good.Commit)))
}

func goodList(good []record.GoodState) string {
	var texts []string
	for i := range good {
		if good[i].Unfit == "" {
			texts = append(texts, label(&good[i]))
		}
	}
	return listed(texts)
}

// listed joins texts, the first twelve of them.
func listed(texts []string) string {
	if more := len(texts) - 12; more > 0 {
		texts = append(texts[:12:12], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

// refuseDisabled refuses a rollback if the deployed config.yml disables rollbacks.
func (r *Rollouts) refuseDisabled(applied *record.GoodState) error {
	if applied == nil {
		return nil
	}
	config := r.inForce(applied)
	if config == nil || config.Deployment.Rollback.Enabled {
		return nil // a config.yml that cannot be read forbids nothing
	}
	return fault.New(config.Place("deployment.rollback.enabled"), "set deployment.rollback.enabled to true in config.yml and merge that, or merge a fix",
		"config.yml disables rollbacks: deployment.rollback.enabled is false")
}

// nodeOf reads the node as the files of a good state have it; nil before the first one.
func (r *Rollouts) nodeOf(good *record.GoodState) func() (*manifests.Node, error) {
	if good == nil {
		return nil
	}
	return func() (*manifests.Node, error) {
		files, err := r.use.Files.Files(good)
		if err == nil && files == nil {
			err = errors.New("an earlier version of the agent recorded it without its files")
		}
		if err != nil {
			return nil, err
		}
		return manifests.Load(files, r.use.Node.Environment, r.use.Node.Node)
	}
}

// configOf gives the config.yml of a good state, nil if it cannot be read.
func (r *Rollouts) configOf(applied *record.GoodState) *manifests.Config {
	files, err := r.use.Files.Files(applied)
	if err != nil || files == nil {
		return nil
	}
	config, err := manifests.LoadConfig(files, r.use.Node.Environment)
	if err != nil {
		return nil
	}
	return config
}
