#include "emulation/ipc/ipc_perm.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_subject.h"

namespace shmvisor {
namespace {

enum class Relation { kOwner, kCreator, kOwningGroup, kCreatingGroup, kSupplementary, kOther };

IpcPerm perm_with(mode_t mode) {
  IpcPerm perm;
  perm.uid = 10;
  perm.gid = 20;
  perm.cuid = 11;
  perm.cgid = 21;
  perm.mode = mode;
  return perm;
}

void relate(FakeSubject& subject, Relation relation) {
  subject.become(99, 99);
  switch (relation) {
    case Relation::kOwner:
      subject.effective_uid = 10;
      break;
    case Relation::kCreator:
      subject.effective_uid = 11;
      break;
    case Relation::kOwningGroup:
      subject.effective_gid = 20;
      break;
    case Relation::kCreatingGroup:
      subject.effective_gid = 21;
      break;
    case Relation::kSupplementary:
      subject.groups = {1, 20};
      break;
    case Relation::kOther:
      break;
  }
}

int class_shift(Relation relation) {
  if (relation == Relation::kOwner || relation == Relation::kCreator) return 6;
  return relation == Relation::kOther ? 0 : 3;
}

constexpr Relation kRelations[] = {Relation::kOwner,         Relation::kCreator,
                                   Relation::kOwningGroup,   Relation::kCreatingGroup,
                                   Relation::kSupplementary, Relation::kOther};

TEST(IpcPermTest, EveryModeForEveryRelation) {
  for (const Relation relation : kRelations) {
    FakeSubject subject;
    relate(subject, relation);
    for (mode_t mode = 0; mode <= 0777; ++mode) {
      const mode_t granted = mode >> class_shift(relation) & 7;
      for (mode_t wanted = 0; wanted <= 7; ++wanted) {
        const int flag = static_cast<int>(wanted << 6 | wanted << 3 | wanted);
        EXPECT_EQ(ipcperms(perm_with(mode), subject, flag), (wanted & ~granted) == 0)
            << std::oct << "mode " << mode << " flag " << flag << " relation "
            << static_cast<int>(relation);
      }
    }
  }
}

// The three digits of the flag are one question, whichever digit it stands in.
TEST(IpcPermTest, AnyDigitOfTheFlagAsks) {
  FakeSubject owner;
  relate(owner, Relation::kOwner);
  EXPECT_TRUE(ipcperms(perm_with(0400), owner, 0004));
  EXPECT_TRUE(ipcperms(perm_with(0400), owner, 0040));
  EXPECT_FALSE(ipcperms(perm_with(0400), owner, 0002));
  EXPECT_FALSE(ipcperms(perm_with(0400), owner, 0420));
  EXPECT_TRUE(ipcperms(perm_with(0600), owner, 0420));
}

// Bits above the permissions are flags of shmget(), not rights.
TEST(IpcPermTest, FlagsAreNoRights) {
  FakeSubject other;
  relate(other, Relation::kOther);
  EXPECT_TRUE(ipcperms(perm_with(0), other, 01000 | 02000 | 04000 | 010000));
}

TEST(IpcPermTest, TheClassThatAppliesIsTheOnlyOne) {
  FakeSubject owner;
  relate(owner, Relation::kOwner);
  owner.effective_gid = 20;
  EXPECT_FALSE(ipcperms(perm_with(0077), owner, 0444)) << "the owner is not of the group, too";
  FakeSubject member;
  relate(member, Relation::kOwningGroup);
  EXPECT_FALSE(ipcperms(perm_with(0707), member, 0444)) << "the group is not the others, too";
}

TEST(IpcPermTest, ModeBitsAboveThePermissionsGrantNothing) {
  FakeSubject other;
  relate(other, Relation::kOther);
  EXPECT_FALSE(ipcperms(perm_with(03000), other, 0444));
}

TEST(IpcPermTest, TheRealUidDoesNotCount) {
  FakeSubject subject;
  subject.become(99, 99);
  subject.real_uid = 10;
  EXPECT_FALSE(ipcperms(perm_with(0700), subject, 0444));
  EXPECT_FALSE(owns(perm_with(0700), subject));
}

TEST(IpcPermTest, OnlyIpcOwnerOverridesTheMode) {
  for (const Relation relation : kRelations) {
    FakeSubject subject;
    relate(subject, relation);
    subject.capabilities = {Capability::kSysAdmin, Capability::kIpcLock};
    EXPECT_FALSE(ipcperms(perm_with(0), subject, 0444));
    subject.capabilities = {Capability::kIpcOwner};
    EXPECT_TRUE(ipcperms(perm_with(0), subject, 0777));
  }
}

TEST(IpcPermTest, ControlIsForOwnerCreatorAndSysAdmin) {
  for (const Relation relation : kRelations) {
    FakeSubject subject;
    relate(subject, relation);
    const bool owner = class_shift(relation) == 6;
    EXPECT_EQ(owns(perm_with(0777), subject), owner);
    EXPECT_EQ(may_control(perm_with(0777), subject), owner);
    subject.capabilities = {Capability::kIpcOwner, Capability::kIpcLock};
    EXPECT_EQ(may_control(perm_with(0777), subject), owner);
    subject.capabilities = {Capability::kSysAdmin};
    EXPECT_TRUE(may_control(perm_with(0), subject));
  }
}

// Groups and capabilities are slow to learn of a real caller.
TEST(IpcPermTest, WhatIsNotNeededIsNotAsked) {
  FakeSubject owner;
  relate(owner, Relation::kOwner);
  EXPECT_TRUE(ipcperms(perm_with(0600), owner, 0666));
  FakeSubject other;
  relate(other, Relation::kOther);
  EXPECT_TRUE(ipcperms(perm_with(0644), other, 0444));
  EXPECT_EQ(owner.groups_read + owner.capabilities_read, 0);
  EXPECT_EQ(other.groups_read + other.capabilities_read, 0);
}

}  // namespace
}  // namespace shmvisor
