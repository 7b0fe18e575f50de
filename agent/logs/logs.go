// Package logs takes a user's question for the log lines of a service and gives them with
// the values of the stack's secrets masked. It decrypts the secrets for that, in memory;
// lines of tasks whose secrets it cannot read are not shown.
package logs

import (
	"context"
	"io/fs"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// engine gives the services of a stack, and what they print.
type engine interface {
	ObserveServices(ctx context.Context, stackName string) (deploy.LiveServices, error)
	ServiceLogs(ctx context.Context, service string, options deploy.LogOptions, each func(deploy.LogLine) error) error
}

// records are the records of the stack.
type records interface {
	Deployed() (*record.GoodState, error)
	LastSync() (*record.Sync, error)
	AllGood(now time.Time) ([]record.GoodState, error)
}

// files are those that a good state was made of.
type files interface {
	Files(good *record.GoodState) (fs.FS, error)
}

// source is the followed repository.
type source interface {
	Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error)
}

// Reader reads the logs of one stack. All fields are required.
type Reader struct {
	Engine  engine
	Records records
	Files   files
	Source  source
	Node    desired.Options // whose files the stack is made of
	Paths   []string        // of the repository that it reads
	Turns   chan struct{}   // has one for each question that is being answered, as many as it has room for
	Follows chan struct{}   // has one for each follower, as many as it has room for
}

const (
	// defaultLines and mostLines bound how many lines are read.
	defaultLines = 100
	mostLines    = 1000
	masksTime    = time.Minute // to read and decrypt what the masks are made of
	turnTime     = 30 * time.Second
)

// Read gives the lines that a user asks for to each, whose error ends it.
func (r *Reader) Read(ctx context.Context, asked request.Logs, each func(deploy.LogLine) error) error {
	switch {
	case asked.Lines == 0:
		asked.Lines = defaultLines
	case asked.Lines < 0 || asked.Lines > mostLines:
		return request.Refuse(request.Invalid, "write a number from 1 to 1000", "lines cannot be %d", asked.Lines)
	}
	end, err := r.turn(ctx)
	if err != nil {
		return err
	}
	defer end()
	service, live, err := r.service(ctx, asked.Service)
	if err != nil {
		return err
	}
	masks := r.masks(ctx, live, service)
	options := deploy.LogOptions{Lines: asked.Lines, Follow: asked.Follow, Failed: asked.Failed, Masks: masks}
	if asked.Follow {
		select {
		case r.Follows <- struct{}{}:
			defer func() { <-r.Follows }()
		default:
			return request.Refuse(request.Busy, "end one of them, or read without following", "%d readers follow logs already", cap(r.Follows))
		}
		options.Begun = end // those who wait for lines keep no one else waiting
	}
	return r.Engine.ServiceLogs(ctx, service, options, each)
}

// turn waits until few enough other questions are being answered: each decrypts files, and
// holds lines in memory.
func (r *Reader) turn(ctx context.Context) (end func(), err error) {
	late := time.NewTimer(turnTime)
	defer late.Stop()
	select {
	case r.Turns <- struct{}{}:
		return sync.OnceFunc(func() { <-r.Turns }), nil
	case <-late.C:
		return nil, request.Refuse(request.Busy, "try again in a minute", "the logs of other services are being read")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// service finds a service of the stack by its name, with or without the stack's.
func (r *Reader) service(ctx context.Context, name string) (string, deploy.LiveServices, error) {
	deployed, err := r.Records.Deployed()
	if err != nil {
		return "", nil, err
	}
	last, err := r.Records.LastSync()
	if err != nil {
		return "", nil, err
	}
	stack := stackOf(last, deployed)
	if stack == "" {
		return "", nil, request.Refuse(request.Conflict, "`agent status` shows the progress of the first sync", "no stack is deployed yet")
	}
	live, err := r.Engine.ObserveServices(ctx, stack)
	if err != nil {
		return "", nil, err
	}
	for _, full := range []string{name, stack + "_" + name} {
		if _, found := live[full]; found {
			return full, live, nil
		}
	}
	return "", nil, request.Refuse(request.NotFound, "`agent status` lists the services", "the stack %s has no service %q", stack, name)
}

// stackOf names the stack in the engine; "" before it is known.
func stackOf(last *record.Sync, deployed *record.GoodState) string {
	switch {
	case deployed != nil:
		return deployed.StackName
	case last != nil:
		return last.Stack
	}
	return ""
}

// masks makes masks from what is deployed. If a service has secrets that are not of that,
// those of the last sync and of the recorded good states are added. What cannot be read is
// left out: the lines of tasks that have it are not shown.
func (r *Reader) masks(ctx context.Context, live deploy.LiveServices, service string) *deploy.Masks {
	ctx, cancel := context.WithTimeout(ctx, masksTime)
	defer cancel()
	var stacks []*compose.Stack
	masks := deploy.NewMasks()
	for _, from := range r.sources(ctx) {
		tree, err := from.open()
		if err != nil || tree == nil {
			continue
		}
		options := r.Node
		options.Vault.Settled = from.vault
		state, err := desired.Open(ctx, tree, options)
		if err != nil {
			continue
		}
		defer state.Wipe()
		stack, err := state.Render(ctx)
		if err != nil {
			continue
		}
		stacks = append(stacks, stack)
		if masks = deploy.NewMasks(stacks...); masks.Unknown(live[service].Spec) == "" {
			break
		}
	}
	return masks
}

// origin is a tree of files that live services may have been made of.
type origin struct {
	open  func() (fs.FS, error)
	vault []record.VaultRead // the versions of its secrets in Vault
}

// sources gives the trees of files that the live services may have been made of, the
// likeliest first.
func (r *Reader) sources(ctx context.Context) (all []origin) {
	recorded := func(good record.GoodState) origin {
		return origin{func() (fs.FS, error) { return r.Files.Files(&good) }, good.Vault}
	}
	deployed, err := r.Records.Deployed()
	if err == nil && deployed != nil {
		all = append(all, recorded(*deployed))
	}
	last, err := r.Records.LastSync()
	if err == nil && last != nil && last.Wrote && (deployed == nil || last.Commit != deployed.Commit) { // it was read before
		all = append(all, origin{func() (fs.FS, error) {
			checkout, err := r.Source.Fetch(ctx, gitsync.Revision{Commit: last.Commit, Ref: last.Ref}, r.Paths)
			if err != nil {
				return nil, err
			}
			return checkout.FS, nil
		}, last.Vault})
	}
	good, err := r.Records.AllGood(time.Now())
	if err != nil {
		return all
	}
	for _, state := range good[:min(len(good), 3)] {
		if deployed == nil || state.SyncID != deployed.SyncID {
			all = append(all, recorded(state))
		}
	}
	return all
}
