//! The answers a worker owes: one for each policy it was handed, in that order and after it has locked itself in, and before the answer
//! to any question that was asked after. One that keeps to neither is no worker of ours: nobody waits for it. Pure.

use std::collections::VecDeque;

/// What one worker owes.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// It has locked itself in: before that it has read nothing.
    may_answer: bool,
    /// Policies it has not answered, by number, the oldest first.
    policies: VecDeque<u32>,
    /// How many of them it was handed before it was asked last.
    before_question: usize,
}

impl Owed {
    /// It has locked itself in.
    pub(super) const fn set_ready(&mut self) {
        self.may_answer = true;
    }

    /// It was handed this policy.
    pub(super) fn hand_over(&mut self, generation: u32) {
        self.policies.push_back(generation);
    }

    /// It was asked whether it lives.
    pub(super) fn ask(&mut self) {
        self.before_question = self.policies.len();
    }

    /// It answers a policy; whether that was its turn.
    pub(super) fn answer(&mut self, generation: u32) -> bool {
        let is_next = self.may_answer && self.policies.front() == Some(&generation);
        if is_next {
            self.policies.pop_front();
        }
        self.before_question = self.before_question.saturating_sub(usize::from(is_next));
        is_next
    }

    /// Whether something comes before the answer to the question.
    pub(super) const fn comes_first(&self) -> bool {
        self.before_question > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_answered_once_and_in_their_order() {
        let mut owed = Owed::default();
        owed.hand_over(1);
        assert!(!owed.answer(1), "it cannot have read it yet");
        owed.set_ready();
        owed.hand_over(3);
        assert!(!owed.answer(3) && owed.answer(1) && !owed.answer(1) && owed.answer(3) && !owed.answer(3));
        assert!(!owed.answer(4), "it was not handed that one");
    }

    #[test]
    fn a_question_is_answered_after_what_came_before_it() {
        let mut owed = Owed::default();
        owed.set_ready();
        owed.hand_over(1);
        owed.ask();
        owed.hand_over(2);
        assert!(owed.comes_first());
        assert!(owed.answer(1) && !owed.comes_first(), "the second came after the question");
        owed.ask();
        assert!(owed.comes_first() && owed.answer(2) && !owed.comes_first());
    }
}
