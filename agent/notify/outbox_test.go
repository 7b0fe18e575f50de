package notify_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify"
)

func TestTellsOnce(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.run(0)
		bad, other := plainNotice(notify.Failure, "1", "bad"), plainNotice(notify.Failure, "1", "other")
		good := plainNotice(notify.Success, "1", "good")
		for range 20 { // retries with two alternating errors
			r.tell(bad, other)
			r.pass(30 * time.Minute)
		}
		r.wants("slack: bad", "slack: other")
		r.tell(plainNotice(notify.Failure, "2", "bad"))
		r.pass(time.Hour)
		r.wants("slack: bad")
		good.Commit = "2"
		r.tell(good, good)
		r.pass(time.Hour)
		r.wants("slack: recovered: good")
		r.tell(good)
		r.pass(time.Hour)
		r.wants()
		r.tell(plainNotice(notify.Failure, "2", "bad")) // a failure after a success
		r.pass(time.Hour)
		r.tell(good, plainNotice(notify.Waiting, "3", "waits"), plainNotice(notify.Waiting, "3", "waits"))
		r.pass(time.Hour)
		r.wants("slack: bad", "slack: recovered: good", "slack: waits")
		quiet := plainNotice(notify.Success, "4", "good")
		quiet.Quiet = true
		r.tell(quiet, plainNotice(notify.Success, "5", "good"))
		r.pass(time.Hour)
		r.wants("slack: good")
	})
}

func TestDriftIsToldOnce(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.run(0)
		drift := plainNotice(notify.Drift, "1", "drift")
		drift.Details = []notify.Detail{{Text: "web"}}
		more := drift
		more.Details = []notify.Detail{{Text: "web"}, {Text: "api"}}
		for _, n := range []notify.Notice{drift, drift, more, more} {
			r.tell(n)
			r.pass(time.Hour)
		}
		r.wants("slack: drift", "slack: drift")
		if err := r.outbox.DriftOver(""); err != nil {
			t.Fatal(err)
		}
		r.open()
		r.run(0)
		r.tell(drift, drift)
		r.pass(time.Hour)
		r.wants("slack: drift")
	})
}

// TestTokenIsToldOnce tells the problems of a token once, also after a restart. They do not
// count as the failure of a rollout, and those of a new token are new.
func TestTokenIsToldOnce(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.run(0)
		r.tell(plainNotice(notify.Failure, "1", "bad"))
		token := notify.Notice{Event: notify.Failure, Environment: "sandbox", Node: "node3", Token: "gitlab_token_file 1", Title: "token"}
		git := token
		git.Token, git.Title = "git_token_file 1", "git"
		for _, n := range []notify.Notice{token, git, token} {
			r.tell(n)
			r.pass(time.Hour)
		}
		r.open()
		r.run(0)
		r.tell(token, git, plainNotice(notify.Failure, "1", "bad"))
		r.pass(time.Hour)
		r.wants("slack: bad", "slack: git", "slack: token")
		token.Token = "gitlab_token_file 2"
		r.tell(token)
		r.pass(time.Hour)
		r.wants("slack: token")
		r.tell(plainNotice(notify.Success, "1", "good"), plainNotice(notify.Success, "1", "good"))
		r.pass(time.Hour)
		r.wants("slack: recovered: good")
	})
}

func TestOnlyWhatIsWanted(t *testing.T) {
	inRoom(t, func(r *room) {
		r.run(0)
		r.use([]notify.Event{notify.Success}, channel)
		r.tell(plainNotice(notify.Failure, "1", "bad"), plainNotice(notify.Success, "1", "good"), plainNotice(notify.Waiting, "2", "waits"))
		r.pass(time.Hour)
		r.wants("slack: good")
		r.use(nil, channel, ops)
		r.tell(plainNotice(notify.Failure, "3", "bad"))
		r.pass(time.Hour)
		r.wants()
	})
}

// TestThrottle reports 30 events within ten minutes: a receiver never gets more than five
// messages in ten minutes, or ten of failures, and each event is in one of them.
func TestThrottle(t *testing.T) {
	for event, most := range map[notify.Event]int{notify.Waiting: 5, notify.Failure: 10} {
		t.Run(string(event), func(t *testing.T) {
			inRoom(t, func(r *room) {
				r.use(all, channel)
				r.run(0)
				for i := range 30 {
					r.tell(plainNotice(event, fmt.Sprint(i), fmt.Sprintf("news %02d", i)))
					r.pass(20 * time.Second)
					if i%7 == 0 {
						r.open() // the limit also applies after a restart
						r.run(0)
					}
				}
				r.pass(20 * time.Minute)
				times := r.sentAt()
				for i, at := range times {
					if i >= most && at.Sub(times[i-most]) < 10*time.Minute {
						t.Errorf("message %d is sent %s after message %d", i, at.Sub(times[i-most]), i-most)
					}
				}
				var wants []string
				for i := range most {
					wants = append(wants, fmt.Sprintf("slack: news %02d", i))
				}
				r.wants(append(wants, fmt.Sprintf("slack: news 29 (and %d more)", 29-most))...)
			})
		})
	}
}

// TestFailureIsNotDelayed checks that the messages before a failure do not delay it: it is in a
// message at once, and so are the notices that the limit held.
func TestFailureIsNotDelayed(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.run(0)
		for i := range 7 {
			r.tell(plainNotice(notify.Waiting, fmt.Sprint(i), fmt.Sprintf("waits %d", i)))
			r.pass(time.Second)
		}
		r.wants("slack: waits 0", "slack: waits 1", "slack: waits 2", "slack: waits 3", "slack: waits 4")
		r.tell(plainNotice(notify.Failure, "8", "bad"))
		r.pass(time.Second)
		r.wants("slack: bad (and 2 more)")
	})
}

// TestBurst checks the notices of a time in which the receiver did not answer.
func TestBurst(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		for i := range 12 {
			r.tell(plainNotice(notify.Failure, fmt.Sprint(i), fmt.Sprintf("bad %02d", i)))
		}
		r.run(time.Second)
		r.wants("slack: bad 11 (and 11 more)")
	})
}

// TestReceiversApart checks that one receiver without an answer and one that refuses do not
// delay the third.
func TestReceiversApart(t *testing.T) {
	inRoom(t, func(r *room) {
		dev := notify.Receiver{Kind: notify.KindEmail, Address: "dev@example.com"}
		r.use(all, channel, ops, dev)
		r.hang[channel] = true
		r.set(dev, notify.Permanent(errors.New("no such user")))
		r.run(0)
		for i := range 4 {
			before := time.Now()
			r.tell(plainNotice(notify.Failure, fmt.Sprint(i), "bad"))
			if time.Since(before) != 0 {
				t.Error("Tell waited")
			}
			r.pass(time.Minute)
		}
		r.wants("email: bad", "email: bad", "email: bad", "email: bad")
		var conditions []string
		for _, one := range r.outbox.Health().Receivers {
			conditions = append(conditions, fmt.Sprintf("%s: %d waiting, trouble %v, refused %v", one.String(), one.Waiting, one.Problem != nil, one.Refused != nil))
		}
		if diff := cmp.Diff([]string{
			"email dev@example.com: 0 waiting, trouble false, refused true",
			"email ops@example.com: 0 waiting, trouble false, refused false",
			"slack #deployments: 4 waiting, trouble true, refused false",
		}, conditions); diff != "" {
			t.Error(diff)
		}
		r.open()
		if refused := r.outbox.Health().Receivers[0].Refused; refused == nil || refused.Reason != "no such user" {
			t.Errorf("after a restart: %+v", refused)
		}
		r.set(dev, nil)
		r.run(0)
		r.tell(plainNotice(notify.Failure, "5", "bad"))
		r.pass(time.Minute)
		if refused := r.outbox.Health().Receivers[0].Refused; refused != nil || r.counted("email dropped") != 4 || r.counted("email sent") != 6 {
			t.Errorf("%+v, %d sent", refused, r.counted("email sent"))
		}
	})
}

// TestRestart checks that notices survive a restart, and that none is sent twice.
func TestRestart(t *testing.T) {
	inRoom(t, func(r *room) {
		r.set(channel, errors.New("down"))
		r.run(0)
		r.tell(plainNotice(notify.Failure, "1", "bad"))
		r.pass(time.Hour)
		r.wants("email: bad")
		r.open()
		r.set(channel, nil)
		r.tell(plainNotice(notify.Failure, "1", "bad"))
		r.run(time.Second)
		r.wants("slack: bad")
		for _, one := range r.outbox.Health().Receivers {
			if !strings.HasSuffix(one.Last, ": bad") || one.LastSent.IsZero() {
				t.Errorf("%s: last %q at %s", one.String(), one.Last, one.LastSent)
			}
		}
		slices.Sort(r.accepted)
		if diff := cmp.Diff([]string{"email ops@example.com sandbox/node3: bad", "slack #deployments sandbox/node3: bad"}, r.accepted); diff != "" {
			t.Error(diff)
		}
		if health := r.outbox.Health(); health.Undelivered != 0 || strings.Count(r.logs.String(), "level=WARN") != 1 {
			t.Errorf("%+v\n%s", health, r.logs.String())
		}
	})
}

// TestBackoff counts the attempts of a day, and checks the wait that a receiver asks for.
func TestBackoff(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.set(channel, errors.New("down"))
		r.run(0)
		r.tell(plainNotice(notify.Failure, "1", "bad"))
		r.pass(23 * time.Hour)
		if failed := r.counted("slack failed"); failed < 200 || failed > 400 {
			t.Errorf("%d attempts", failed)
		}
		r.set(channel, notify.After(errors.New("slowly"), 50*time.Minute))
		r.pass(6 * time.Minute)
		failed := r.counted("slack failed")
		r.set(channel, nil)
		r.pass(40 * time.Minute)
		if r.counted("slack failed") != failed || r.counted("slack sent") != 0 {
			t.Errorf("it did not wait: %d sent", r.counted("slack sent"))
		}
		r.pass(11 * time.Minute)
		r.wants("slack: bad")
	})
}

// TestNothingIsTooOld checks that notices are kept over a long weekend, and that the oldest
// of more than a hundred are removed.
func TestNothingIsTooOld(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.set(channel, errors.New("down"))
		r.run(0)
		r.tell(plainNotice(notify.Failure, "1", "first"))
		r.pass(4 * 24 * time.Hour)
		r.open()
		r.run(0)
		if health := r.outbox.Health(); health.Undelivered != 1 || health.Dropped != 0 {
			t.Errorf("%+v", health)
		}
		for i := range 105 {
			r.tell(plainNotice(notify.Failure, fmt.Sprint(i), "more"))
		}
		if health := r.outbox.Health(); health.Undelivered != 100 || health.Dropped != 6 || r.counted("slack dropped") != 6 || !strings.Contains(r.logs.String(), "first") {
			t.Errorf("%+v, %d dropped", health, r.counted("slack dropped"))
		}
		r.set(channel, nil)
		r.pass(10 * time.Minute)
		r.wants("slack: more (and 99 more)")
	})
}

// TestChangingTexts retries for a day with a text whose numbers change: the notice is sent
// once, and later notices are sent as well.
func TestChangingTexts(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.run(0)
		again := func(text string) {
			n := plainNotice(notify.Failure, "1", "bad")
			n.Again, n.Details = true, []notify.Detail{{Text: text}}
			r.tell(n)
			r.pass(10 * time.Minute)
		}
		for i := range 144 {
			again(fmt.Sprintf("read udp 10.0.0.1:%d->10.0.0.2:53: i/o timeout", 40000+i))
		}
		r.wants("slack: bad")
		again("0.7 GB are free under /var")
		r.wants("slack: bad")
		for i := range 100 { // a user who retries repeatedly
			r.tell(plainNotice(notify.Failure, "1", fmt.Sprint("bad ", i)))
			r.pass(10 * time.Minute)
		}
		if got := len(r.sentAt()); got != 102 {
			t.Errorf("%d messages", got)
		}
	})
}

// TestClockWasWrong checks that sent times in the future do not count for the limit.
func TestClockWasWrong(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.run(0)
		for i := range 5 {
			r.tell(plainNotice(notify.Failure, fmt.Sprint(i), "bad"))
			r.pass(time.Second)
		}
		r.stop()
		year := time.Now().Format("2006-")
		r.book = bytes.ReplaceAll(r.book, []byte(year), []byte("2099-"))
		r.open()
		r.run(0)
		r.tell(plainNotice(notify.Failure, "6", "bad"))
		r.pass(time.Minute)
		if got := len(r.sentAt()); got != 6 {
			t.Errorf("%d messages", got)
		}
	})
}

// TestReceiverLeaves removes a receiver that config.yml no longer has.
func TestReceiverLeaves(t *testing.T) {
	inRoom(t, func(r *room) {
		r.set(channel, errors.New("down"))
		r.tell(plainNotice(notify.Failure, "1", "bad"))
		r.use(all, ops)
		r.run(time.Minute)
		r.wants("email: bad")
		if health := r.outbox.Health(); health.Undelivered != 0 || len(health.Receivers) != 1 {
			t.Errorf("%+v", health)
		}
	})
}

// TestStoreBroken refuses notices that it cannot store, and accepts later ones.
func TestStoreBroken(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		r.run(0)
		full := errors.New("disk full")
		r.breaks(full)
		if err := r.outbox.Tell(plainNotice(notify.Failure, "1", "bad")); !errors.Is(err, full) {
			t.Errorf("told: %v", err)
		}
		r.breaks(nil)
		r.tell(plainNotice(notify.Failure, "1", "bad"))
		r.pass(time.Second)
		r.wants("slack: bad")
		r.set(channel, errors.New("down"))
		r.tell(plainNotice(notify.Failure, "2", "bad"))
		r.breaks(full)
		r.set(channel, nil)
		r.pass(10 * time.Minute)
		if sent := len(r.sentAt()) - 1; sent < 2 || sent > 15 {
			t.Errorf("sent %d times while the store failed", sent)
		}
	})
}

// TestFlushTriesUrgentOnesAgain checks that a failure is tried again like after any other start,
// although the receiver got as many other messages as it may.
func TestFlushTriesUrgentOnesAgain(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, channel)
		for i := range 5 {
			r.tell(plainNotice(notify.Waiting, fmt.Sprint(i), "waits"))
		}
		if err := r.outbox.Flush(r.t.Context()); err != nil {
			t.Fatal(err)
		}
		r.wants("slack: waits", "slack: waits", "slack: waits", "slack: waits", "slack: waits")
		r.set(channel, errors.New("down"))
		time.AfterFunc(500*time.Millisecond, func() { r.set(channel, nil) })
		r.tell(plainNotice(notify.Failure, "6", "bad"))
		if err := r.outbox.Flush(r.t.Context()); err != nil {
			t.Error(err)
		}
		r.wants("slack: bad")
	})
}

func TestFlush(t *testing.T) {
	inRoom(t, func(r *room) {
		r.tell(plainNotice(notify.Failure, "1", "bad"))
		if err := r.outbox.Flush(r.t.Context()); err != nil {
			t.Error(err)
		}
		r.wants("email: bad", "slack: bad")
		r.set(channel, errors.New("down"))
		r.tell(plainNotice(notify.Failure, "2", "bad"))
		before := time.Now()
		err := r.outbox.Flush(r.t.Context())
		if err == nil || !strings.Contains(err.Error(), "1 notice not delivered: slack #deployments: down") {
			t.Error(err)
		}
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("Flush took %s", took)
		}
		r.wants("email: bad")
	})
}
