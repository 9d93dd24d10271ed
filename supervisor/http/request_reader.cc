#include "supervisor/http/request_reader.h"

#include <algorithm>

namespace shmvisor {
namespace {

RequestReader& reader_of(http_parser* parser) { return *static_cast<RequestReader*>(parser->data); }

constexpr int kGoOn = 0;
constexpr int kStop = -1;

}  // namespace

RequestReader::RequestReader() {
  http_parser_init(&parser_, HTTP_REQUEST);
  parser_.data = this;
}

// No exception may go through http_parser, which is C: what is added is bounded, and its memory was
// set aside by take().

int RequestReader::add_to_target(http_parser* parser, const char* text, std::size_t bytes) {
  reader_of(parser).target_.append(text, bytes);
  return kGoOn;
}

int RequestReader::add_to_field(http_parser* parser, const char* text, std::size_t bytes) {
  RequestReader& reader = reader_of(parser);
  reader.finish_field();
  for (const char letter : std::string_view(text, bytes)) {
    reader.field_ +=
        letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  }
  return kGoOn;
}

int RequestReader::add_to_value(http_parser* parser, const char* text, std::size_t bytes) {
  RequestReader& reader = reader_of(parser);
  reader.in_value_ = true;
  reader.value_.append(text, bytes);
  return kGoOn;
}

int RequestReader::end_of_fields(http_parser* parser) {
  RequestReader& reader = reader_of(parser);
  reader.finish_field();
  reader.check();
  return reader.status_ == 0 ? kGoOn : kStop;
}

int RequestReader::end_of_message(http_parser* parser) {
  reader_of(parser).complete_ = true;
  http_parser_pause(parser, 1);
  return kGoOn;
}

void RequestReader::finish_field() {
  if (!in_value_) return;
  in_value_ = false;
  if (field_ == "host") {
    if (host_) status_ = HTTP_STATUS_BAD_REQUEST;
    host_ = value_;
  } else if (field_ == "accept") {
    request_.accept += (request_.accept.empty() ? "" : ", ") + value_;
  }
  field_.clear();
  value_.clear();
}

void RequestReader::check() {
  if (status_ != 0) return;
  const bool has_body = (parser_.flags & (F_CHUNKED | F_UPGRADE)) != 0 ||
                        parser_.uses_transfer_encoding != 0 ||
                        ((parser_.flags & F_CONTENTLENGTH) != 0 && parser_.content_length != 0);
  if (parser_.method != HTTP_GET && parser_.method != HTTP_HEAD) {
    status_ = HTTP_STATUS_METHOD_NOT_ALLOWED;
  } else if (has_body) {
    status_ = HTTP_STATUS_PAYLOAD_TOO_LARGE;
  } else if (parser_.http_major != 1) {
    status_ = HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
  } else if (target_.empty() || target_.front() != '/' || (parser_.http_minor != 0 && !host_)) {
    status_ = HTTP_STATUS_BAD_REQUEST;
  }
  request_.head = parser_.method == HTTP_HEAD;
  request_.path = target_.substr(0, target_.find('?'));
  request_.host = host_.value_or("");
}

void RequestReader::take(std::string_view bytes) {
  if (done()) return;
  static constexpr http_parser_settings kSettings = [] {
    http_parser_settings settings{};
    settings.on_url = add_to_target;
    settings.on_header_field = add_to_field;
    settings.on_header_value = add_to_value;
    settings.on_headers_complete = end_of_fields;
    settings.on_message_complete = end_of_message;
    return settings;
  }();
  if (!began()) {
    for (std::string* const text : {&target_, &field_, &value_, &request_.accept, &request_.path}) {
      text->reserve(kMostBytes);
    }
  }
  const std::string_view part = bytes.substr(0, kMostBytes - taken_bytes_);
  taken_bytes_ += part.size();
  const std::size_t parsed = http_parser_execute(&parser_, &kSettings, part.data(), part.size());
  if (done()) return;
  if (HTTP_PARSER_ERRNO(&parser_) != HPE_OK || parser_.upgrade != 0 || parsed != part.size()) {
    status_ = HTTP_STATUS_BAD_REQUEST;
  } else if (taken_bytes_ == kMostBytes) {
    status_ = HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
  }
}

}  // namespace shmvisor
