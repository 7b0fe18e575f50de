package logs_test

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/logs"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// engine is an engine whose logs end when a test says so.
type engine struct {
	reading atomic.Int32
	end     chan struct{}
}

func (e *engine) ObserveServices(context.Context, string) (deploy.LiveServices, error) {
	return deploy.LiveServices{"s_web": {}}, nil
}

func (e *engine) ServiceLogs(_ context.Context, _ string, options deploy.LogOptions, _ func(deploy.LogLine) error) error {
	if options.Begun != nil {
		options.Begun()
	}
	e.reading.Add(1)
	defer e.reading.Add(-1)
	<-e.end
	return nil
}

// records are those of a stack whose files are gone.
type records struct{}

func (records) Deployed() (*record.GoodState, error) { return &record.GoodState{StackName: "s"}, nil }
func (records) LastSync() (*record.Sync, error)      { return nil, nil }
func (records) AllGood(time.Time) ([]record.GoodState, error) {
	return nil, nil
}
func (records) Files(*record.GoodState) (fs.FS, error) { return nil, fs.ErrNotExist }

// Few questions are answered at the same time. Others wait for their turn, and not for ever;
// those who follow a log keep no one waiting, and are few, too.
func TestTurns(t *testing.T) {
	for name, test := range map[string]struct {
		follow  bool
		reading int32 // of five
		refused int
	}{
		"last lines": {false, 2, 3},
		"followed":   {true, 4, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				live := &engine{end: make(chan struct{})}
				reader := &logs.Reader{Engine: live, Records: records{}, Files: records{}, Turns: make(chan struct{}, 2), Follows: make(chan struct{}, 4)}
				ended := make(chan error, 5)
				for range 5 {
					go func() {
						ended <- reader.Read(t.Context(), request.Logs{Service: "web", Follow: test.follow}, func(deploy.LogLine) error { return nil })
					}()
				}
				synctest.Wait()
				if got := live.reading.Load(); got != test.reading {
					t.Errorf("%d are read at once, want %d", got, test.reading)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for range len(ended) {
					if refused := (request.Refused{}); !errors.As(<-ended, &refused) || refused.Kind != request.Busy {
						t.Errorf("not refused as busy: %+v", refused)
					}
					test.refused--
				}
				if test.refused != 0 {
					t.Errorf("%d more should be refused", test.refused)
				}
				close(live.end)
				synctest.Wait()
				for range len(ended) {
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}
				if got := live.reading.Load(); got != 0 || len(reader.Turns) != 0 || len(reader.Follows) != 0 {
					t.Errorf("%d are read at the end, and %d turns are held", got, len(reader.Turns))
				}
			})
		})
	}
}
