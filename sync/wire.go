package sync

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// errUnknownHave means that the remote does not have the commit in need.have.
var errUnknownHave = errors.New("the remote does not know the commit")

// session is one session with the remote's upload-pack.
type session interface {
	// refs asks for the greeting: in version 0 the list of the refs, in version 2 what the remote
	// offers.
	refs(ctx context.Context) (io.ReadCloser, error)
	// pack sends a request, in version 0 for a pack.
	pack(ctx context.Context, request *bytes.Buffer) (io.ReadCloser, error)
	// failed returns an error that says more than err, with which the read of refs ended.
	failed(err error) error
	close()
}

// wire is a remote on the network.
type wire struct {
	name      string
	remote    Remote
	connect   func(ctx context.Context, asked version) (session, error)
	stateless bool // a pack can be requested without a list of the refs

	caps   atomic.Pointer[capability.List] // the last advertised ones
	second atomic.Bool                     // the remote has listed refs by version 2
	whole  atomic.Bool                     // the remote refuses single blobs
	known  atomic.Pointer[known]           // of the last fetch; nil if the next one must be whole
}

// talk opens a session for an exchange, and explains its error.
func (w *wire) talk(ctx context.Context, doing string, asked version, exchange func(context.Context, session) error) error {
	limited, cancel := context.WithTimeout(ctx, w.remote.Limits.FetchTime)
	defer cancel()
	with, err := w.connect(limited, asked)
	if err == nil {
		defer with.close()
		err = exchange(limited, with)
	}
	if err == nil || errors.Is(err, errUnknownHave) || errors.Is(err, errUnusable) {
		return err
	}
	return w.explain(limited, doing, err)
}

// advertised reads the greeting of version 0. For a pack over HTTP its first ref is enough, which has
// the capabilities.
func (w *wire) advertised(ctx context.Context, with session) (*packp.AdvRefs, error) {
	greeting, err := with.refs(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = greeting.Close() }() // only read from
	from := w.bounded(greeting)
	if w.stateless {
		if from, err = firstRef(from); err != nil {
			return nil, err
		}
	}
	return w.decode(from, with)
}

// decode reads refs in the form of version 0, and stores the capabilities of the remote.
func (w *wire) decode(from io.Reader, with session) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(from)
	if errors.Is(err, packp.ErrEmptyAdvRefs) { // a repository without commits
		refs, err = packp.NewAdvRefs(), nil
	}
	if err != nil {
		return nil, with.failed(err)
	}
	for _, unsupported := range []capability.Capability{capability.MultiACK, capability.MultiACKDetailed} {
		refs.Capabilities.Delete(unsupported)
	}
	w.caps.Store(refs.Capabilities)
	return refs, nil
}

// pull fetches a commit with its folders as what differs from the last one, and everything else
// whole. It fetches the commit whole if the remote no longer has the last one.
func (w *wire) pull(ctx context.Context, need need) (storer.EncodedObjectStorer, error) {
	if !need.knowable() {
		store := memory.NewStorage()
		return store, w.fetch(ctx, store, need)
	}
	before := w.known.Load()
	need.known = before
	store := before.storage()
	if before != nil && before.commit.Hash() == need.wants[0] {
		_, err := store.SetEncodedObject(before.commit)
		return store, err
	}
	err := w.fetch(ctx, store, need)
	if err == nil && before != nil && !before.completes(store, need.wants[0]) {
		err = errUnusable
	}
	if before != nil && (errors.Is(err, errUnknownHave) || errors.Is(err, errUnusable)) {
		before, need.known = nil, nil
		store = memory.NewStorage()
		err = w.fetch(ctx, store, need)
	}
	if err != nil {
		return nil, err
	}
	w.known.Store(learn(store, need.wants[0], before))
	return store, nil
}

// blobs requests all blobs at once. If the remote refuses single blobs, it requests the
// whole revision, now and in later calls.
func (w *wire) blobs(ctx context.Context, store storer.EncodedObjectStorer, of need, blobs []plumbing.Hash) error {
	into, ok := store.(*memory.Storage)
	if !ok {
		return fmt.Errorf("store blobs of %s: not a store of this remote", w.name)
	}
	if !w.whole.Load() {
		err := w.fetch(ctx, into, need{wants: blobs})
		if !errors.Is(err, errNotOffered) {
			return err
		}
		w.whole.Store(true)
	}
	return w.fetch(ctx, into, of)
}

// fetch adds the needed objects to a store.
func (w *wire) fetch(ctx context.Context, into *memory.Storage, need need) error {
	return w.talk(ctx, "fetch from", version0, func(ctx context.Context, with session) (err error) {
		defer func() {
			if err != nil {
				w.caps.Store(nil) // the remote may no longer offer what it did: the next fetch asks
			}
		}()
		refs, caps := packp.NewAdvRefs(), w.caps.Load()
		if caps == nil || !w.stateless {
			if refs, err = w.advertised(ctx, with); err != nil {
				return err
			}
			caps = refs.Capabilities
		}
		req := request(caps, need, w.whole.Load())
		if req.Filter == "" && refs.Peeled[need.ref] == need.wants[0] {
			// A strict server offers the tag's object in the ref, not the commit behind it.
			req.Wants = []plumbing.Hash{refs.References[need.ref]}
		}
		err = w.unpack(ctx, with, req, into)
		if len(req.Shallows) > 0 && errors.Is(err, packfile.ErrReferenceDeltaNotFound) {
			return errUnusable
		}
		return err
	})
}

// request returns a request for the need with the capabilities of the remote.
func request(caps *capability.List, need need, whole bool) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequestFromCapabilities(caps)
	req.Wants = append(req.Wants, need.wants...)
	req.Capabilities.Delete(capability.ThinPack)
	if !need.have.IsZero() {
		req.Haves = []plumbing.Hash{need.have}
	}
	if need.depth > 0 && caps.Supports(capability.Shallow) {
		req.Depth = packp.DepthCommits(need.depth)
		_ = req.Capabilities.Set(capability.Shallow) // takes no argument, so it cannot fail
	}
	if caps.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress)
	}
	// A server without this capability would refuse the blobs later.
	lazy := caps.Supports(capability.AllowReachableSHA1InWant) && !whole
	if caps.Supports(capability.Filter) && (lazy || need.filter != packp.FilterBlobNone()) && need.filter != "" {
		req.Filter = need.filter
		_ = req.Capabilities.Set(capability.Filter)
	}
	if need.known != nil && req.Filter != "" && req.Depth != packp.DepthCommits(0) && caps.Supports(capability.ThinPack) {
		last := need.known.commit.Hash()
		req.Haves, req.Shallows = []plumbing.Hash{last}, []plumbing.Hash{last}
		_ = req.Capabilities.Set(capability.ThinPack)
	}
	return req
}

// unpack requests a pack, and reads it into a store.
func (w *wire) unpack(ctx context.Context, with session, req *packp.UploadPackRequest, into *memory.Storage) error {
	// One write, because the remote may answer and close before it has read everything.
	var body bytes.Buffer
	if err := errors.Join(req.UploadRequest.Encode(&body), req.UploadHaves.Encode(&body, false)); err != nil {
		return err
	}
	if err := pktline.NewEncoder(&body).EncodeString("done\n"); err != nil {
		return err
	}
	from, err := with.pack(ctx, &body)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // only read from
	most := w.remote.Limits.FetchBytes  // of the pack; what comes before it and around it has a part of that
	from = bounded.NewBudget(2*most, limits.Over(fault.Place{}, "fetch_bytes", "the answer has", most)).Body(from)
	response := packp.NewUploadPackResponse(req)
	if err := response.Decode(from); err != nil {
		return err
	}
	if len(req.Haves) > 0 && len(response.ACKs) == 0 {
		return errUnknownHave
	}
	var answer io.Reader = response
	switch caps := req.Capabilities; {
	case caps.Supports(capability.Sideband64k):
		answer = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case caps.Supports(capability.Sideband):
		answer = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	return w.store(ctx, answer, into)
}

// scrub removes the token from a text of the remote.
func (w *wire) scrub(text string) string {
	if w.remote.TokenFile == "" {
		return text
	}
	token, err := readToken(w.remote.TokenFile)
	if err != nil {
		return text
	}
	basic := base64.StdEncoding.EncodeToString([]byte(w.remote.Username + ":" + token))
	return strings.NewReplacer(token, "[token]", basic, "[token]").Replace(text)
}
