package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/waitfor"
)

// move is something that happens in a round. What do gives goes on while something
// else happens.
type move struct {
	name   string
	weight int
	do     func() (meanwhile func())
}

// pick takes one of moves by their weights.
func (w *walk) pick(moves []move) move {
	sum := 0
	for _, one := range moves {
		sum += one.weight
	}
	at := w.random.IntN(sum)
	for _, one := range moves {
		if at -= one.weight; at < 0 {
			return one
		}
	}
	return move{}
}

// moves are what may be done now.
func (w *walk) moves() []move {
	head := w.releases[w.head]
	moves := []move{
		{"a good commit", 30, w.goodCommit},
		{"a commit for others", 6, w.elsewhere},
		{"another policy", 6, w.policy},
		{"a change by hand", 10, w.byHand},
		{"agent sync", 4, func() func() { return w.asks("sync", "--wait") }},
		{"agent rollback", 8, func() func() { return w.asks("rollback", "--yes", "--reason", "at random") }},
		{"agent rollback to any", 3, w.backToAny},
		{"agent rollback of a service", 3, func() func() { return w.asks("rollback", "--yes", "--service", w.anyService()) }},
		{"agent pause", 2, w.pause},
	}
	switch {
	case w.paused:
		moves = append(moves, move{"agent resume", 60, w.resume})
	case w.seen.Sync.State == record.RolledBack:
		moves = append(moves, move{"agent resume", 15, w.resume})
	case w.seen.Sync.State == record.Failed:
		moves = append(moves, move{"agent retry", 10, func() func() { return w.asks("retry", "--wait") }})
	}
	for _, trouble := range troubles {
		moves = append(moves, move{"a commit with " + string(trouble), 5, func() func() {
			w.push("bad", head.spoilt(w.random, trouble))
			return nil
		}})
	}
	return moves
}

// disturbances are what may happen meanwhile: among others a commit that overtakes
// the one before, or a person who does not wait for its end.
func (w *walk) disturbances() []move {
	return []move{
		{"nothing", 50, nil},
		{"a kill of the agent", 25, w.killed},
		{"a restart of the engine", 5, w.engineRestarts},
		{"git away", 6, w.gitAway},
		{"GitLab away", 6, w.gitlabAway},
		{"a change by hand", 6, w.byHand},
		{"another commit", 8, w.goodCommit},
		{"another commit, with some trouble", 8, func() func() {
			w.push("bad, too", w.releases[w.head].spoilt(w.random, troubles[w.random.IntN(len(troubles))]))
			return nil
		}},
		{"agent rollback", 6, func() func() {
			w.asks("rollback", "--yes", "--reason", "in the midst of it")()
			return nil
		}},
	}
}

func (w *walk) goodCommit() func() {
	w.push("good", w.releases[w.head].changed(w.random))
	return nil
}

func (w *walk) elsewhere() func() {
	head := w.releases[w.head]
	w.head = w.commit("elsewhere", map[string]string{"README.md": fmt.Sprint(len(w.releases))})
	w.releases[w.head], w.excused[w.head] = head, true
	return nil
}

// policy is a good commit with other answers to failure and drift.
func (w *walk) policy() func() {
	n := w.releases[w.head].changed(w.random)
	n.automatic, n.correct = w.random.IntN(2) == 0, w.random.IntN(2) == 0
	w.push("policy", n)
	return nil
}

func (w *walk) anyService() string {
	return []string{"web", "worker", "cron_service"}[w.random.IntN(3)]
}

func (w *walk) pause() func() {
	w.paused = true
	if code, out, errs := w.cli("pause", "--reason", "at random"); code != exitDone {
		w.t.Errorf("pause: exit %d: %s%s", code, out, errs)
	}
	return nil
}

func (w *walk) resume() func() {
	w.paused = false
	if code, out, errs := w.cli("resume"); code != exitDone {
		w.t.Errorf("resume: exit %d: %s%s", code, out, errs)
	}
	return nil
}

// backToAny goes back to a state that was good, the one that runs among them.
func (w *walk) backToAny() func() {
	ids := slices.Sorted(maps.Keys(w.proven))
	return w.asks("rollback", "--yes", "--to", fmt.Sprint(ids[w.random.IntN(len(ids))]))
}

// byHand changes a service behind the agent's back.
func (w *walk) byHand() func() {
	w.excused[w.head], w.tampered, w.looks = true, true, 3 // the second may have begun before
	service := w.anyService()
	change := [][]string{
		{"--replicas", fmt.Sprint(1 + w.random.IntN(3))},
		{"--image", fmt.Sprintf("coin-test/app:%d", 1+w.random.IntN(2))},
		{"--env-add", fmt.Sprintf("BY_HAND=%d", w.random.IntN(100))},
		{"--label-add", fmt.Sprintf("by-hand=%d", w.random.IntN(100))},
	}[w.random.IntN(4)]
	arguments := append([]string{"service", "update", "--detach", "--no-resolve-image"}, change...)
	// It may fail: the service may be gone, or be written by the agent just now.
	_ = exec.Command("docker", append([]string{"--host", w.swarm.Host}, append(arguments, w.stack+"_"+service)...)...).Run()
	return nil
}

// asks runs a command, whose exit code does not matter: the oracle looks at what it
// has led to.
func (w *walk) asks(args ...string) func() {
	return func() { w.cli(args...) }
}

func (w *walk) killed() func() {
	w.kill()
	w.start()
	return nil
}

// engineRestarts takes the engine away from under the agent: what fails now need not
// be the release's fault.
func (w *walk) engineRestarts() func() {
	w.excused[w.head], w.restarted = true, true
	if err := w.swarm.Restart(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return nil
}

func (w *walk) gitAway() func() {
	w.git.Fail(http.StatusBadGateway)
	defer w.git.Fail(0)
	w.git.Requests()
	waitfor.NoError(w.t, patience, func() error {
		if len(w.git.Requests()) == 0 {
			return errors.New("nobody asks the git server")
		}
		return nil
	})
	return nil
}

func (w *walk) gitlabAway() func() {
	w.gitlab.Inject(gitlabtest.Fault{Times: -1, Cut: true})
	<-time.After(time.Duration(w.random.IntN(2000)) * time.Millisecond)
	w.gitlab.Heal()
	return nil
}
