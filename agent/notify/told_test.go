package notify_test

import (
	"fmt"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/notify"
)

// ofHealth returns a notice about the health of a revision's services.
func ofHealth(event notify.Event, commit, health string) notify.Notice {
	n := plainNotice(event, commit, commit+" is "+health)
	n.Health = health
	return n
}

// TestEachDegradedReleaseIsTold tells that a release is degraded, also if the one before it
// was. The next good rollout is the recovery of the one before it. A success that is published
// again says nothing about the health.
func TestEachDegradedReleaseIsTold(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use([]notify.Event{notify.Failure, notify.Recovery, notify.Rollback}, channel)
		r.run(0)
		tell := func(n notify.Notice, want ...string) {
			t.Helper()
			r.tell(n)
			r.pass(time.Hour)
			r.wants(want...)
		}
		third := plainNotice(notify.Success, "3", "3 is rolled out")
		tell(third)
		tell(ofHealth(notify.Failure, "3", "degraded"), "slack: 3 is degraded")
		r.open()
		r.run(0)
		tell(third)
		tell(ofHealth(notify.Failure, "3", "degraded"))
		tell(plainNotice(notify.Success, "4", "4 is rolled out"), "slack: recovered: 4 is rolled out")
		tell(ofHealth(notify.Failure, "4", "degraded"), "slack: 4 is degraded")
		tell(plainNotice(notify.Rollback, "4", "rolled back by a user"), "slack: rolled back by a user")
		tell(plainNotice(notify.Success, "5", "5 is rolled out"), "slack: recovered: 5 is rolled out")
		tell(ofHealth(notify.Failure, "5", "degraded"), "slack: 5 is degraded")
		tell(ofHealth(notify.Recovery, "5", "healthy"), "slack: recovered: 5 is healthy")
		tell(plainNotice(notify.Success, "6", "6 is rolled out"))
	})
}

// TestUserRollbackWakesNoOne sends PagerDuty the rollbacks after a failure only: no success
// resolves the alert of another one.
func TestUserRollbackWakesNoOne(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use([]notify.Event{notify.Failure, notify.Recovery, notify.Rollback}, pager, channel)
		r.run(0)
		failed := plainNotice(notify.Rollback, "3", "failed and rolled back")
		failed.Failed = true
		r.tell(plainNotice(notify.Rollback, "2", "rolled back by a user"), failed, plainNotice(notify.Success, "4", "4 is rolled out"))
		r.pass(time.Hour)
		r.wants("pagerduty: failed and rolled back", "pagerduty: recovered: 4 is rolled out",
			"slack: failed and rolled back", "slack: recovered: 4 is rolled out", "slack: rolled back by a user")
	})
}

var pager = notify.Receiver{Kind: notify.KindPagerDuty, Address: notify.OfNode}

// TestAlertLastsAsItsCause resolves no alert by healthy services while a rollout has failed.
func TestAlertLastsAsItsCause(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, pager)
		r.run(0)
		r.tell(ofHealth(notify.Failure, "4", "degraded"), plainNotice(notify.Failure, "5", "5 failed at render"), ofHealth(notify.Recovery, "4", "healthy"))
		r.pass(time.Hour)
		r.wants("pagerduty: 4 is degraded", "pagerduty: 5 failed at render")
		r.tell(plainNotice(notify.Success, "6", "6 is rolled out"), ofHealth(notify.Failure, "6", "degraded"), ofHealth(notify.Recovery, "6", "healthy"))
		r.pass(time.Hour)
		r.wants("pagerduty: 6 is degraded", "pagerduty: recovered: 6 is healthy", "pagerduty: recovered: 6 is rolled out")
	})
}

// TestAlertsAreNotCombined has more notices than PagerDuty gets messages in ten minutes: each
// message is about one alert.
func TestAlertsAreNotCombined(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, pager)
		var want []string
		for i := range 3 {
			token := plainNotice(notify.Failure, "", fmt.Sprint("token ", i))
			token.Token = fmt.Sprint("gitlab_token_file ", i)
			r.tell(plainNotice(notify.Failure, "1", fmt.Sprint("rollout ", i)), token)
			want = append(want, fmt.Sprint("pagerduty: rollout ", i))
		}
		r.run(time.Hour)
		r.wants(append(want, "pagerduty: token 0", "pagerduty: token 1", "pagerduty: token 2")...)
	})
}

// TestTokenProblemsComeBack tells that the problems of a token are over, once, and tells the
// same ones again when they come back.
func TestTokenProblemsComeBack(t *testing.T) {
	inRoom(t, func(r *room) {
		r.use(all, pager)
		bad, good := plainNotice(notify.Failure, "", "bad token"), plainNotice(notify.Recovery, "", "good token")
		bad.Token, good.Token = "gitlab_token_file 1", "gitlab_token_file 1"
		r.tell(good, bad, bad)
		r.open()
		r.tell(good, good, bad)
		r.run(time.Hour)
		r.wants("pagerduty: bad token", "pagerduty: bad token", "pagerduty: recovered: good token")
	})
}
