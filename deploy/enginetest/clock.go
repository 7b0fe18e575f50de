package enginetest

import (
	"container/heap"
	"time"
)

// moment is something that happens in the engine at a time.
type moment struct {
	at    time.Time
	order uint64 // of moments at one time, the first that was planned comes first
	act   func()
}

// agenda holds what is to happen, the earliest first.
type agenda []*moment

func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].order < a[j].order
	}
	return a[i].at.Before(a[j].at)
}

func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push is for container/heap.
func (a *agenda) Push(one any) { *a = append(*a, one.(*moment)) }

// Pop is for container/heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	one := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return one
}

// wakeUp is the timer that simulates moments when no call does. It runs only while
// streams of events wait for them: without any, the engine catches up at each call.
type wakeUp struct {
	timer *time.Timer
	at    time.Time
	order uint64 // of the last moment planned
}

// after plans what happens later. A negative delay counts as zero.
func (e *Engine) after(delay time.Duration, act func()) {
	e.wake.order++
	heap.Push(&e.agenda, &moment{at: e.clock.Add(max(delay, 0)), order: e.wake.order, act: act})
}

// advance simulates all moments up to a time, each at its own.
func (e *Engine) advance(to time.Time) {
	for !e.down && len(e.agenda) > 0 && !e.agenda[0].at.After(to) {
		next := heap.Pop(&e.agenda).(*moment)
		e.clock = next.at
		next.act()
	}
	e.clock = to
}

// arm sets the timer for the next moment.
func (e *Engine) arm() {
	if len(e.streams) == 0 || len(e.agenda) == 0 {
		e.disarm()
		return
	}
	next := e.agenda[0].at
	if e.wake.timer != nil && e.wake.at.Equal(next) {
		return
	}
	e.disarm()
	e.wake.at = next
	e.wake.timer = time.AfterFunc(next.Sub(e.clock), func() { e.do(func() {}) })
}

func (e *Engine) disarm() {
	if e.wake.timer != nil {
		e.wake.timer.Stop()
		e.wake.timer = nil
	}
}
