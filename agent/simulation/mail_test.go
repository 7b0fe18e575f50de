package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/notify"
)

const mailAddress = "ops@example.com"

// errMail is a failure of the mail server.
var errMail = errors.New("the mail server does not answer")

// mailbox is what the mail server has accepted, and how it fails.
type mailbox struct {
	away   bool            // it accepts nothing
	lose   int             // mails until the answer of one is lost
	texts  []string        // of the accepted mails
	ids    map[string]bool // of the accepted mails
	unsure bool            // the agent may not know of the last mail: it may come again
}

// postman brings the mails of one process to the mail server.
type postman struct{ p *process }

// Send delivers a mail, which is a side effect.
func (m postman) Send(_ context.Context, _ notify.Receiver, message notify.Message) error {
	doomed, err := m.p.before("mail " + message.Title)
	if err != nil {
		return err
	}
	err = m.p.w.accept(message, doomed)
	if killed := m.p.after("mail "+message.Title, doomed); killed != nil {
		return killed
	}
	return err
}

// accept takes a mail, or fails as the mail server does. doomed says that the agent is
// killed before it knows.
func (w *world) accept(message notify.Message, doomed bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	box := &w.mailbox
	if box.away {
		return errMail
	}
	if box.ids == nil {
		box.ids = map[string]bool{}
	}
	if box.ids[message.ID] && !box.unsure {
		w.wrong = append(w.wrong, fmt.Sprintf("the mail %q was sent twice", message.Title))
	}
	box.ids[message.ID] = true
	box.texts = append(box.texts, message.Title+"\n"+message.Text)
	box.unsure = doomed || w.plan != nil || w.kills > 0 || w.diskFull || w.fails != 0 // a kill or a full disk may hide the answer
	if box.lose > 0 {
		if box.lose--; box.lose == 0 {
			box.unsure = true
			return errMail
		}
	}
	return nil
}

// checkMails demands that all mails are delivered at last, that they tell of every failed
// commit, and that no mail has plaintext.
func (w *world) checkMails() {
	for range 60 {
		if w.process.parts.mail.Health().Undelivered == 0 {
			break
		}
		w.pass(interval)
	}
	if left := w.process.parts.mail.Health().Undelivered; left > 0 {
		w.fail("%d notices are not delivered", left)
		return
	}
	syncs, err := w.records()
	if err != nil {
		w.fail("cannot read the state file: %v", err)
		return
	}
	w.mu.Lock()
	all := strings.Join(w.mailbox.texts, "\n")
	w.mu.Unlock()
	if strings.Contains(all, canary) {
		w.fail("plaintext of a secret in a mail")
	}
	for _, one := range syncs {
		if one.State == "failed" && !one.Unchanged && !one.Transient && !strings.Contains(all, one.Commit[:10]) {
			w.fail("no mail tells of the failed commit %s", one.Commit[:10])
		}
	}
}
